"""Events drawn from a fault model, in the words of a fault space."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import nn

from faultsim.errors import FaultError
from faultsim.faultmodels.faultmodel import FaultModel
from faultsim.faultmodels.numbers import EVENTS, TRIES, Numbers
from faultsim.faults import OPS, EventSet, FaultSet, Site
from faultsim.faults.patterns import Event, Extent, Words
from faultsim.space import FaultSpace
from faultsim.targets.weights import hold

Struck = tuple[Site, int, int]
"""A word: its site, index and step."""


class Region(NamedTuple):
    """A tensor as it is at some of the steps of its site."""

    site: Site
    extent: Extent
    steps: tuple[int, ...]


class Kind(NamedTuple):
    """One kind of event, and up to which number its places lie in each region."""

    event: Event
    ends: list[int]


class Sampler:
    """Draws events: the kind by its probability, then one of the places where it fits, uniformly.

    Places are counted over all tensors of the space, and over all steps of those that have such.
    """

    def __init__(
        self, model: FaultModel, space: FaultSpace, module: nn.Module, where: str = "the space"
    ) -> None:
        """Counts the places.

        Args:
            model: The events.
            space: What may be struck. A pattern fits where all of its bits are in the space.
            module: Whose weights the space lists: patterns in memory follow their strides.
            where: What the space is called in messages.

        Raises:
            FaultError: A kind of event fits nowhere.
        """
        self._regions = list(_regions(space, module))
        kinds = [kind for event in model.event for kind in event.kinds() if kind.probability > 0]
        self._kinds = [Kind(kind, self._ends(kind)) for kind in kinds]
        for kind in self._kinds:
            if not kind.ends[-1]:
                raise FaultError(self._nowhere(model, kind.event, where))
        shares = np.cumsum([kind.event.probability for kind in self._kinds])
        self._shares = shares / shares[-1]

    def _ends(self, event: Event) -> list[int]:
        ends, end = [], 0
        for region in self._regions:  # Python's integers: there may be very many
            end += event.places(region.extent) * len(region.steps)
            ends.append(end)
        return ends

    def _nowhere(self, model: FaultModel, event: Event, where: str) -> str:
        largest = max(self._regions, key=lambda region: region.extent.bits)
        said = event.said(largest.extent)
        return (
            f"fault model {model.name}: {said} fits nowhere in {where}, whose largest tensor has "
            f"{largest.extent.words:,} words of {largest.extent.width} bits, of which "
            f"{len(largest.extent.chosen)} may be struck"
        )

    def draw(self, events: int, *, seed: int, trial: int = 0, op: str = "flip") -> EventSet:
        """So many events, of which no two strike one word; fewer are a prefix of more.

        Args:
            events: How many.
            seed: Key of the random streams; with ``trial`` it fixes the events.
            trial: Number of the trial, below 2^32.
            op: What happens to struck bits, where the fault model does not say.

        Raises:
            FaultError: There is no room for so many.
        """
        if events > EVENTS:
            raise FaultError(f"{events:,} events a trial are too many: at most {EVENTS:,}")
        taken: set[Struck] = set()
        parts, texts = [], []
        for number in range(events):
            faults, text = self._another(taken, seed, trial, number, op)
            parts.append(faults)
            texts.append(text)
        return EventSet.told(parts, texts)

    def _another(
        self, taken: set[Struck], seed: int, trial: int, number: int, op: str
    ) -> tuple[FaultSet, str]:
        for tried in range(TRIES):
            faults, text = self._one(Numbers(seed, trial, number, tried), op)
            rows = zip(faults.index.tolist(), faults.step.tolist(), strict=True)
            words = {(faults.sites[0], index, step) for index, step in rows}
            if taken.isdisjoint(words):
                taken |= words
                return faults, text
        raise FaultError(f"there is no room for {number + 1:,} events that strike other words each")

    def choose(self, numbers: Numbers) -> tuple[Event, int, int]:
        """The kind of an event, the number of its region, and that of its place there."""
        drawn = int(np.searchsorted(self._shares, numbers.unit(), side="right"))
        event, ends = self._kinds[drawn]
        place = numbers.below(ends[-1])
        row = bisect_right(ends, place)
        return event, row, place - (ends[row - 1] if row else 0)

    def _one(self, numbers: Numbers, op: str) -> tuple[FaultSet, str]:
        event, row, place = self.choose(numbers)
        site, extent, steps = self._regions[row]
        place, step = divmod(place, len(steps))
        words = _thinned(event.struck(extent, place), event, numbers)
        faults = _faults(site, extent, words, steps[step], event.op or op)
        return faults, _told(event, extent, faults)


def _regions(space: FaultSpace, module: nn.Module) -> Iterator[Region]:
    pairs = list(zip(space.sites, space.bits, strict=True))
    stored = [site for site in space.sites if site.kind == "weights"]
    held = zip(stored, hold(module, stored), strict=True)
    order = {site: _order(holder.tensor.stride()) for site, holder in held}
    for site, chosen in pairs:
        at_rest = site.kind == "weights"
        shapes: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for step in range(site.steps) or [-1]:
            shapes[site.shapes[step] if site.shapes else site.shape].append(step)
        for shape, steps in shapes.items():
            extent = Extent(shape, site.format.bits, chosen, order.get(site, ()), at_rest)
            yield Region(site, extent, tuple(steps))


def _order(strides: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions from the slowest to the fastest."""
    return tuple(sorted(range(len(strides)), key=lambda axis: (-strides[axis], axis)))


def _thinned(words: Words, event: Event, numbers: Numbers) -> Words:
    """What is struck of a pattern."""
    if event.density >= 1:
        return words
    bits = np.unpackbits(
        np.ascontiguousarray(words.mask).view(np.uint8).reshape(-1, 8), axis=1, bitorder="little"
    )
    covered = np.flatnonzero(bits)
    kept = numbers.some(len(covered), event.density, min(event.least, len(covered)))
    mask = np.zeros(bits.size, np.uint8)
    mask[covered[kept]] = 1
    packed = np.packbits(mask.reshape(-1, 64), axis=1, bitorder="little")
    left = packed.view(np.int64).ravel()
    return Words(words.index[left != 0], left[left != 0])


def _faults(site: Site, extent: Extent, words: Words, step: int, op: str) -> FaultSet:
    index = words.index
    if extent.shape != site.shape:
        index = site.indices(index, step)
    return FaultSet([site], 0, index, words.mask, OPS.index(op), step=step, checked=True)


def _told(event: Event, extent: Extent, faults: FaultSet) -> str:
    """What struck, and from which word on."""
    site, bits = faults.sites[0], faults.flips
    first = np.unravel_index(int(faults.index[0]), site.shape)
    where = f"{site.name}[{','.join(map(str, first))}]" if site.shape else site.name
    step = f" step {int(faults.step[0])}" if faults.step[0] >= 0 else ""
    text, n = f"{event.said(extent)} at {where}{step}", len(faults)
    return text if bits == 1 else f"{text}: {bits:,} bits of {n:,} word{'s' * (n > 1)}"
