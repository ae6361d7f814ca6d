"""Events of an aligned block of memory: a byte, a word, a line."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from faultsim.faults.patterns.event import Memory
from faultsim.faults.patterns.extent import Extent, Words

Power = Annotated[int, Meta(ge=1, le=2**30)]


class Byte(Memory, tag="byte", kw_only=True):
    """One byte."""

    def places(self, extent: Extent) -> int:
        return extent.words * len(extent.windows(8, 8))

    def struck(self, extent: Extent, place: int) -> Words:
        windows = extent.windows(8, 8)
        word, window = divmod(place, len(windows))
        first = word * extent.width + windows[window]
        return extent.at(np.arange(first, first + 8))

    def said(self, extent: Extent) -> str:
        return "1 byte"


class Word(Memory, tag="word", kw_only=True):
    """One word, whatever its dtype."""

    def places(self, extent: Extent) -> int:
        return extent.words if extent.whole else 0

    def struck(self, extent: Extent, place: int) -> Words:
        return extent.at(np.arange(place * extent.width, (place + 1) * extent.width))

    def said(self, extent: Extent) -> str:
        return "1 word"


class Line(Memory, tag="line", kw_only=True):
    """An aligned line of a cache, or what one access to memory reads.

    Attributes:
        bytes: Of the line, 32 or 64, say; a power of two.
    """

    bytes: Power

    def __post_init__(self) -> None:
        """Refuses what is no power of two; the reader says where it stands."""
        super().__post_init__()
        if self.bytes & (self.bytes - 1):
            raise ValueError(f"bytes {self.bytes} is no power of two")

    def places(self, extent: Extent) -> int:
        return self.blocks(extent, 8 * self.bytes)

    def struck(self, extent: Extent, place: int) -> Words:
        size = 8 * self.bytes
        return extent.at(np.arange(place * size, (place + 1) * size))

    def said(self, extent: Extent) -> str:
        return f"line of {self.bytes} bytes"
