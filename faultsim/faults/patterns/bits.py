"""Events of a few bits: one, several neighbours, several in one block."""

from __future__ import annotations

from math import comb
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from faultsim.faults.patterns.event import Memory, Sizes, fixed
from faultsim.faults.patterns.extent import Extent, Words


class Bit(Memory, tag="bit", kw_only=True):
    """A single bit, wherever one may be struck."""

    def places(self, extent: Extent) -> int:
        return extent.words * len(extent.chosen)

    def struck(self, extent: Extent, place: int) -> Words:
        word, bit = divmod(place, len(extent.chosen))
        return extent.at(np.array([word * extent.width + extent.chosen[bit]]))

    def said(self, extent: Extent) -> str:
        return "1 bit"


class AdjacentBits(Memory, tag="adjacent-bits", kw_only=True):
    """A multi-bit upset: so many neighbours.

    Attributes:
        width: How many.
        within: Whether they are all of one word, or may go on in the next one in memory.
    """

    width: Sizes
    within: Literal["word", "tensor"] = "word"

    def places(self, extent: Extent) -> int:
        if self.within == "word":
            return extent.words * len(extent.windows(fixed(self.width)))
        last = extent.bits - (1 if self.cut else fixed(self.width))
        return max(0, last + 1) if extent.whole else 0

    def struck(self, extent: Extent, place: int) -> Words:
        width = fixed(self.width)
        if self.within == "word":
            windows = extent.windows(width)
            word, window = divmod(place, len(windows))
            place = word * extent.width + windows[window]
        return extent.at(np.arange(place, place + width))

    def said(self, extent: Extent) -> str:
        return f"{fixed(self.width)} adjacent bits" if fixed(self.width) > 1 else "1 bit"


class ScatteredBits(Memory, tag="scattered-bits", kw_only=True):
    """So many bits anywhere in one aligned block.

    Attributes:
        count: How many, each set of so many as likely as another.
        bytes: Of the block.
    """

    count: Annotated[int, Meta(ge=1, le=8)]
    bytes: Annotated[int, Meta(ge=1, le=4096)]

    def __post_init__(self) -> None:
        """Refuses more bits than the block has; the reader says where it stands."""
        super().__post_init__()
        if self.count > 8 * self.bytes:
            raise ValueError(f"{self.bytes} bytes have no {self.count} bits")

    def places(self, extent: Extent) -> int:
        if not extent.whole:
            return 0
        blocks, rest = divmod(extent.bits, 8 * self.bytes)
        last = comb(rest, self.count) if self.cut else 0
        return blocks * comb(8 * self.bytes, self.count) + last

    def struck(self, extent: Extent, place: int) -> Words:
        block, number = divmod(place, comb(8 * self.bytes, self.count))
        first = block * 8 * self.bytes
        size = min(8 * self.bytes, extent.bits - first)
        return extent.at(first + np.array(_subset(size, self.count, number), np.int64))

    def said(self, extent: Extent) -> str:
        return f"{self.count} bits of {self.bytes} bytes"


def _subset(n: int, k: int, number: int) -> list[int]:
    """The subset of ``k`` of ``range(n)`` with a number in colexicographic order, ascending."""
    found = []
    for left in range(k, 0, -1):
        while comb(n - 1, left) > number:
            n -= 1
        n -= 1
        number -= comb(n, left)
        found.append(n)
    return found[::-1]
