"""Whether bounds of activations are from what they are judged by, on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

FLATTERED = (
    "Bounds of activations are from the samples that are judged, which flatters them: faultsim "
    "bounds --out FILE writes those of others, for ranger=FILE."
)


def flattered_lines(protections: Sequence[str]) -> Iterator[str]:
    """One line, or none where bounds are given or none are taken.

    Args:
        protections: As the command line has them, each one or several joined by commas.
    """
    from faultsim.protections import protections_of
    from faultsim.protections.ranges import RangeRestriction

    found = protections_of(protections)
    if any(isinstance(each, RangeRestriction) and each.rehearses for each in found):
        yield FLATTERED
