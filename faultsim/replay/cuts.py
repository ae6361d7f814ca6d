"""Where a forward pass is cut, so that few values cross from the golden part before."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from faultsim.replay.calls import Call, Calls

MOST = 16


def choose_cuts(calls: Calls, room: float) -> list[int]:
    """Ticks that divide the time of the pass about evenly, ascending; fewer where room is short.

    Args:
        calls: A golden pass.
        room: Bytes for the values that cross the cuts, of as many images as ``calls`` has seen.
    """
    count, cuts = MOST, _spread(calls, MOST)
    while cuts and _memory(calls, cuts) > room:
        count //= 2
        cuts = _spread(calls, count)
    return cuts


def _spread(calls: Calls, count: int) -> list[int]:
    """In each of ``count`` equal spans of time the cut that is crossed by the least memory."""
    start, end = calls.seconds[0], calls.seconds[-1]
    borders = [start + (end - start) * i / count for i in range(count + 1)] if count else []
    ticks = [call.exit for call in calls.calls if is_possible(calls, call.exit)]
    cuts = []
    for low, high in pairwise(borders):
        within = [tick for tick in ticks if low < calls.seconds[tick] <= high]
        if within:
            cuts.append(min(within, key=lambda tick: (_memory(calls, [tick]), -tick)))
    return cuts


def is_possible(calls: Calls, cut: int) -> bool:
    """Whether the outputs of all that a run from ``cut`` on skips can be kept."""
    return all(call.bytes is not None for call in calls.calls if call.skipped(cut))


def _memory(calls: Calls, cuts: Iterable[int]) -> int:
    crossing = {call: call.bytes or 0 for cut in cuts for call in _crossing(calls, cut)}
    return sum(crossing.values())


def _crossing(calls: Calls, cut: int) -> list[Call]:
    return [call for call in calls.calls if call.needed(cut)]
