"""What all kinds of events have in common: how probable one is, and what becomes of its bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from faultsim.faults.patterns.extent import Extent, Ints, Words
from faultsim.files import Record, Share

Size = Annotated[int, Meta(ge=1, le=2**40)]

Sizes = Size | dict[str, Share]
"""A size, or the probabilities of several: ``{2 = 0.9, 3 = 0.1}``."""

SURE = 1e-6
"""How far probabilities may be from adding up to 1; figures are published with few digits."""


class Event(Record, tag_field="pattern", kw_only=True):
    """One kind of event: a pattern of bits, which lies somewhere in a tensor.

    Attributes:
        probability: That an event is of this kind.
        op: What happens to a bit that is struck; what the settings say unless given.
        density: The probability that a bit of the pattern is struck, each on its own; 0.5 leaves
            random data.
        least: How many bits are struck at least, where ``density`` is below 1.
    """

    probability: Share
    op: Literal["flip", "stuck-at-0", "stuck-at-1"] | None = None
    density: Annotated[float, Meta(gt=0, le=1)] = 1.0
    least: Size = 1

    def __post_init__(self) -> None:
        """Refuses probabilities of sizes that are none; the reader says where they stand."""
        for name, spread in self._spreads():
            check_sizes(name, spread)

    def _spreads(self) -> Iterator[tuple[str, dict[str, float]]]:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, dict):
                yield name, value

    def kinds(self) -> Iterator[Event]:
        """The event for each size that it may have, with the probability of that."""
        spreads = list(self._spreads())
        for sizes in product(*(spread.items() for _, spread in spreads)):
            chance, fixed = self.probability, {}
            for (name, _), (size, share) in zip(spreads, sizes, strict=True):
                fixed[name] = int(size)
                chance *= share
            yield msgspec.structs.replace(self, probability=chance, **fixed)

    def places(self, extent: Extent) -> int:
        """How many places the pattern has in a tensor; 0 where it does not fit."""
        raise NotImplementedError

    def struck(self, extent: Extent, place: int) -> Words:
        """What the pattern covers at a place, numbered from 0."""
        raise NotImplementedError

    def said(self, extent: Extent) -> str:
        """What struck, in a few words."""
        raise NotImplementedError


def check_sizes(name: str, spread: dict[str, float]) -> None:
    """Raises ValueError unless the keys are sizes and their probabilities add up to 1."""
    for size in spread:
        if not size.isascii() or not size.isdigit() or not 0 < int(size) <= 2**40:
            raise ValueError(f"{name}: {size!r} is no size")
    total = sum(spread.values())
    if abs(total - 1) > SURE:
        raise ValueError(f"{name}: the probabilities add up to {total:g}, not 1")


def fixed(size: Sizes) -> int:
    """The size of an event that :meth:`Event.kinds` made."""
    assert isinstance(size, int)
    return size


class Memory(Event, kw_only=True):
    """An event in memory: a pattern of neighbouring addresses.

    Attributes:
        cut: Whether the pattern may reach past the end of a tensor, of which it then strikes what
            there is; otherwise it lies inside.
    """

    cut: bool = False

    def blocks(self, extent: Extent, bits: int) -> int:
        """How many aligned blocks of so many bits a tensor has, or with ``cut`` touches."""
        if not extent.whole:
            return 0
        return -(-extent.bits // bits) if self.cut else extent.bits // bits


class Elements(Event, kw_only=True):
    """An event in the elements of a tensor, of which each is struck alike.

    Attributes:
        bits: How many neighbouring bits of each, the same in all; all of them unless given.
    """

    bits: Sizes | None = None

    def groups(self, extent: Extent) -> int:
        """How many sets of elements there are."""
        raise NotImplementedError

    def elements(self, extent: Extent, group: int) -> Ints:
        """(n,) distinct row-major positions."""
        raise NotImplementedError

    def places(self, extent: Extent) -> int:
        return self.groups(extent) * len(self._windows(extent))

    def struck(self, extent: Extent, place: int) -> Words:
        windows = self._windows(extent)
        group, window = divmod(place, len(windows))
        index = self.elements(extent, group)
        mask = ((1 << self._size(extent)) - 1) << windows[window]
        return Words(index, np.full(len(index), np.uint64(mask)).view(np.int64))

    def _size(self, extent: Extent) -> int:
        return extent.width if self.bits is None else fixed(self.bits)

    def _windows(self, extent: Extent) -> list[int]:
        return extent.windows(self._size(extent))


def words(number: int) -> str:
    """Of how many words something is."""
    return f"{number:,} word{'' if number == 1 else 's'}"
