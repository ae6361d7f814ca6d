"""What a reader should know of protections before their numbers, on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

FLATTERED = (
    "Bounds of activations are from the samples that are judged, which flatters them: faultsim "
    "bounds --out FILE writes those of others, for ranger=FILE."
)
RESULTS_ONLY = (
    "abft-products sees what strikes the results of products (--target operations), and nothing in "
    "what they are given: weights, or activations on their way."
)


def caveat_lines(protections: Sequence[str], target: str) -> Iterator[str]:
    """Those that there are, a line each.

    Args:
        protections: As the command line has them, each one or several joined by commas.
        target: What faults strike.
    """
    from faultsim.protections import protections_of
    from faultsim.protections.products import BareProducts
    from faultsim.protections.ranges import RangeRestriction

    found = protections_of(protections)
    if any(isinstance(each, RangeRestriction) and each.rehearses for each in found):
        yield FLATTERED
    if target != "operations" and any(isinstance(each, BareProducts) for each in found):
        yield RESULTS_ONLY
