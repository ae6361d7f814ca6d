"""Which faults it pays to carry: small models flip a bit and run faster than they correct a pass.

A carried pass takes some time by itself, and more for each fault, by the weight it lies in; a real
flip takes a pass of its own. All are known from the trials themselves, so that nothing is run to
measure them. They decide about time alone: outcomes are the same.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from faultsim.faults import Site
from faultsim.run.replay.gains import ENOUGH

FEW = 3
"""Times that something is measured before it is decided upon."""
LAST = 9
"""Times that are remembered."""

Sites = Sequence[Site]
Where = Hashable
"""How much of a pass is run: from where on, for how many samples."""


class Gains:
    """Processor time of passes."""

    def __init__(self, left: Callable[[Any], float]) -> None:
        """Nothing is measured yet.

        Args:
            left: Of a cut, the share of a pass that a run from it on leaves to do.
        """
        self._left = left
        self._flipped, self._bare = _ByCut(left), _ByCut(left)
        self._own: dict[Site, deque[float]] = defaultdict(_times)
        self._orders = {True: _times(), False: _times()}
        self._tried = _times()

    def flipped(self, cut: Where, seconds: float) -> None:
        """Notes what a pass with a fault in the model took."""
        self._flipped.add(cut, seconds)

    def carried(
        self, cut: Where, seconds: float, own: Mapping[int, float], faults: Mapping[int, Sites]
    ) -> None:
        """Notes what a carried pass took.

        Args:
            cut: Where it began.
            seconds: Of all of it.
            own: By sample, what was spent on its fault.
            faults: By sample, the weights that it is in.
        """
        self._bare.add(cut, seconds - sum(own.values()))
        for sample, sites in faults.items():
            for site in sites:
                self._own[site].append(own.get(sample, 0.0) / len(sites))

    def tried(self, seconds: float) -> None:
        """Notes what it took to see whether faults in a weight can be carried."""
        self._tried.append(seconds)

    def tries(self, cut: Where) -> bool:
        """Whether a weight is tried when it is first struck: if that takes no longer than a flip.

        Else it is tried when it is struck again, for most weights of a large model never are.
        """
        flip = self._flipped.at(cut)
        return flip is None or not self._tried or median(self._tried) <= flip

    def bare(self, cut: Where) -> float:
        """What a pass would take without a fault; its share of one before any is known."""
        found = self._bare.at(cut)
        return self._left(cut) if found is None else found

    @property
    def lacking(self) -> int:
        """How many real flips there should be before it is decided upon them."""
        return max(0, FEW - self._flipped.times)

    def pays(self, cut: Where, sites: Sites) -> bool:
        """Whether one fault more in a pass is faster than a flip; so where it is not known yet."""
        flip = self._flipped.at(cut)
        return flip is None or self._spent(sites) <= ENOUGH * flip

    def pass_pays(self, cut: Where, faults: Iterable[tuple[Where, Sites]]) -> bool:
        """Whether a pass is faster than a flip for each of its faults.

        Args:
            cut: Where it would begin.
            faults: Of each, where its own pass would begin, and the weights it is in.
        """
        one_by_one, together = 0.0, self._bare.at(cut)
        if together is None:
            return True
        for own, sites in faults:
            together += self._spent(sites)
            one_by_one += self._flipped.at(own) or math.inf
        return together <= ENOUGH * one_by_one

    @property
    def sorts(self) -> bool:
        """Whether trials are sorted by depth: passes are shorter, and their faults closer together.

        Of faults that meet in one operator, fewer can share a run of it.
        """
        known = {order: len(times) for order, times in self._orders.items()}
        if min(known.values()) < FEW:
            return known[True] <= known[False]
        return median(self._orders[True]) <= median(self._orders[False])

    def ordered(self, order: bool, seconds: float) -> None:
        """Notes what a trial took on average, of many that were sorted or not."""
        self._orders[order].append(seconds)

    def _spent(self, sites: Sites) -> float:
        known = (self._own.get(site, ()) for site in sites)
        return sum(median(times) for times in known if len(times) >= FEW)


class _ByCut:
    """What passes from each cut took; of one not seen, by the share of a pass that it leaves."""

    def __init__(self, left: Callable[[Any], float]) -> None:
        self._left, self.times = left, 0
        self._seen: dict[Where, deque[float]] = defaultdict(_times)
        self._whole = _times()

    def add(self, cut: Where, seconds: float) -> None:
        self.times += 1
        self._seen[cut].append(seconds)
        if left := self._left(cut):
            self._whole.append(seconds / left)

    def at(self, cut: Where) -> float | None:
        """None until there were a few."""
        if len(seen := self._seen.get(cut, ())) >= FEW:
            return median(seen)
        return self._left(cut) * median(self._whole) if len(self._whole) >= FEW else None


def _times() -> deque[float]:
    return deque(maxlen=LAST)
