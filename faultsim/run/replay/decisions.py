"""What became of each module as a place to cut, in words, and what replay saves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from faultsim.faults import Site
from faultsim.run.replay.calls import WHOLE
from faultsim.run.replay.cuts import Obstacle, obstacles
from faultsim.run.replay.prefix import Prefix

NOT_CALLED = "its forward did not run"
NOT_CHOSEN = "another cut nearby is crossed by less memory"
UNSURE = "the watched run did not repeat the golden output"


class Decision(NamedTuple):
    """Whether trials may begin where a module ends.

    Attributes:
        module: Its qualified name.
        saved: Share of a forward pass that a trial from the last of its cuts on saves; None
            without a cut.
        why: Why there is none; empty with one.
    """

    module: str
    saved: float | None
    why: str


def decisions(prefix: Prefix) -> Iterator[Decision]:
    """One for each module that can be watched, in the model's order."""
    ends: dict[str, list[int]] = {}
    again: dict[str, str] = {}
    for call in prefix.calls.calls:
        ends.setdefault(call.module, []).append(call.exit)
        if call.again:
            again[call.module] = f"it is run again: {call.again}"
    forbidding = list(obstacles(prefix.calls))
    for module in prefix.modules:
        cuts = [tick for tick in ends.get(module, ()) if tick in prefix.cuts]
        saved = prefix.calls.saved(max(cuts)) if cuts else None
        why = again.get(module) or _why(prefix, ends.get(module), forbidding)
        yield Decision(module, saved, "" if cuts else why)


def _why(prefix: Prefix, ends: list[int] | None, forbidding: Iterable[Obstacle]) -> str:
    if ends is None:
        return NOT_CALLED
    last = max(ends)
    found = (each.why for each in forbidding if each.start <= last < each.end)
    refuted = prefix.refuted.get(last)
    return next(found, refuted or (NOT_CHOSEN if prefix.cuts else UNSURE))


def saving(prefix: Prefix, sites: Iterable[tuple[Site, int]]) -> float:
    """Share of a forward pass that a trial of one fault saves, on average over a fault space.

    Args:
        prefix: Of the model.
        sites: Each with its number of bits.
    """
    saved = {cut: prefix.calls.saved(cut) for cut in (WHOLE, *prefix.cuts)}
    found = [(saved[prefix.cut_before(prefix.calls.reach_of(s))], bits) for s, bits in sites]
    return sum(share * bits for share, bits in found) / sum(bits for _, bits in found)
