"""Where a forward pass is cut, so that few values cross from the golden part before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from faultsim.run.replay.calls import NEVER, Call, Calls
from faultsim.run.replay.trace import INPUTS

MOST = 16


def choose_cuts(calls: Calls, room: float) -> list[int]:
    """Ticks that divide the time of the pass about evenly, ascending; fewer where room is short.

    Args:
        calls: A golden pass.
        room: Bytes for the values that cross the cuts, of as many samples as ``calls`` has seen.
    """
    possible, crossing = possible_cuts(calls), _crossing(calls)
    count, cuts = MOST, _spread(calls, possible, crossing, MOST)
    while cuts and _memory(calls, cuts) > room:
        count //= 2
        cuts = _spread(calls, possible, crossing, count)
    return cuts


def _spread(calls: Calls, possible: list[int], crossing: Sequence[int], count: int) -> list[int]:
    """In each of ``count`` equal spans of time the cut that is crossed by the least memory."""
    start, end = calls.seconds[0], calls.seconds[-1]
    borders = [start + (end - start) * i / count for i in range(count + 1)] if count else []
    cuts = []
    for low, high in pairwise(borders):
        within = [tick for tick in possible if low < calls.seconds[tick] <= high]
        if within:
            cuts.append(min(within, key=lambda tick: (crossing[tick], -tick)))
    return cuts


def possible_cuts(calls: Calls) -> list[int]:
    """Where a run may begin: what is skipped before has left nothing but what can be handed on."""
    counts = _sums(calls, ((each.start, each.end, 1) for each in obstacles(calls)))
    ends = sorted({call.exit for call in calls.calls if not call.again})
    return [tick for tick in ends if not counts[tick]]


class Obstacle(NamedTuple):
    """Why no run may begin from a tick up to, but without, another."""

    start: int
    end: int
    why: str


def obstacles(calls: Calls) -> Iterator[Obstacle]:
    """All that forbids cuts.

    No run begins where what is handed on is changed in place by a call that is skipped, or shares
    memory with the inputs or another value, as copies would not. A call that changed its module, or
    whose output cannot be copied, is run again and forbids nothing.
    """
    if calls.spoils_inputs:
        yield Obstacle(0, NEVER, "the model changes its inputs in place")
    for call in calls.calls:
        yield from _of_one(call)
    yield from _sharing(calls.calls)


def _of_one(call: Call) -> Iterator[Obstacle]:
    if call.again:
        return
    what = f"the output of {call.module} is changed in place by a module that would be skipped"
    yield Obstacle(max(call.exit, call.spoilt), _until(call), what)


def _until(call: Call) -> int:
    return min(call.outer, call.last)


def _sharing(calls: Iterable[Call]) -> Iterator[Obstacle]:
    """Where two values in one storage would be handed on."""
    ends: defaultdict[int, int] = defaultdict(int, {INPUTS: NEVER})
    for call in sorted((c for c in calls if not c.again), key=lambda call: call.exit):
        what = f"the output of {call.module} shares memory with another value, or the inputs"
        for storage in call.storages:
            yield Obstacle(call.exit, min(_until(call), ends[storage]), what)
            ends[storage] = max(ends[storage], _until(call))


def _crossing(calls: Calls) -> list[int]:
    """Bytes that cross a cut at each tick."""
    closed = (call for call in calls.calls if not call.again)
    needed = ((call.exit, _until(call), call.bytes or 0) for call in closed)
    return _sums(calls, needed)


def _sums(calls: Calls, spans: Iterable[tuple[int, int, int]]) -> list[int]:
    """At each tick, the sum of the weights of the spans that hold it."""
    steps = [0] * (len(calls.seconds) + 1)
    for start, end, weight in spans:
        if start < end:
            steps[start] += weight
            steps[min(end, len(calls.seconds))] -= weight
    return list(accumulate(steps))


def _memory(calls: Calls, cuts: Sequence[int]) -> int:
    return sum(call.bytes or 0 for call in calls.calls if any(call.needed(cut) for cut in cuts))
