"""Events of a DRAM: a beat, a pin, a row, a column of a stated geometry.

One access moves ``burst`` beats over ``pins`` data pins: beat *b* carries the bits from *b* · pins
on, bit *p* of each over pin *p*. Rows of ``row_bytes`` follow one another in a tensor, as in a bank
whose addresses are not interleaved.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from faultsim.faults.patterns.event import Memory, Size
from faultsim.faults.patterns.extent import Extent, Words

Pins = Annotated[int, Meta(ge=1, le=4096)]


class Dram(Memory, kw_only=True):
    """A memory of so many pins.

    Attributes:
        pins: Data pins of a channel: 64 in a pseudo-channel of HBM2.
        burst: Beats of an access: 4 there, which makes 32 bytes.
    """

    pins: Pins = 64
    burst: Pins = 4

    @property
    def access(self) -> int:
        """Bits of an access."""
        return self.pins * self.burst


class Beat(Dram, tag="dram-beat", kw_only=True):
    """All pins of one beat."""

    def places(self, extent: Extent) -> int:
        return self.blocks(extent, self.pins)

    def struck(self, extent: Extent, place: int) -> Words:
        return extent.at(np.arange(place * self.pins, (place + 1) * self.pins))

    def said(self, extent: Extent) -> str:
        return f"beat of {self.pins} pins"


class Pin(Dram, tag="dram-pin", kw_only=True):
    """One pin, in all beats of one access."""

    def places(self, extent: Extent) -> int:
        if not extent.whole:
            return 0
        accesses, rest = divmod(extent.bits, self.access)
        return accesses * self.pins + (min(rest, self.pins) if self.cut else 0)

    def struck(self, extent: Extent, place: int) -> Words:
        access, pin = divmod(place, self.pins)
        return extent.at(access * self.access + pin + self.pins * np.arange(self.burst))

    def said(self, extent: Extent) -> str:
        return f"pin in {self.burst} beats"


class Banked(Dram, kw_only=True):
    """A memory whose rows are known.

    Attributes:
        row_bytes: Of a row.
    """

    row_bytes: Size

    def __post_init__(self) -> None:
        """Refuses a row of no whole number of accesses; the reader says where it stands."""
        super().__post_init__()
        if 8 * self.row_bytes % self.access:
            raise ValueError(
                f"row_bytes {self.row_bytes} is no multiple of the {self.access / 8:g} bytes of an "
                "access"
            )


class Row(Banked, tag="dram-row", kw_only=True):
    """One whole row."""

    def places(self, extent: Extent) -> int:
        return self.blocks(extent, 8 * self.row_bytes)

    def struck(self, extent: Extent, place: int) -> Words:
        size = 8 * self.row_bytes
        return extent.at(np.arange(place * size, min(extent.bits, (place + 1) * size)))

    def said(self, extent: Extent) -> str:
        accesses = 8 * self.row_bytes // self.access
        if self.access % extent.width:
            return f"row of {accesses} × {self.access} bits"
        return f"row of {accesses} × {self.access // extent.width} words"


class Column(Banked, tag="dram-column", kw_only=True):
    """A bit line: the same bits in several rows.

    Attributes:
        rows: That one bit line serves; an aligned group of so many is struck.
        width: Neighbouring bits struck in each row.
    """

    rows: Size
    width: Annotated[int, Meta(ge=1, le=4096)] = 1

    def _group(self) -> int:
        return 8 * self.row_bytes * self.rows

    def places(self, extent: Extent) -> int:
        columns = 8 * self.row_bytes // self.width
        if not self.cut or not extent.whole:
            return self.blocks(extent, self._group()) * columns
        groups, rest = divmod(extent.bits, self._group())
        return groups * columns + min(-(-rest // self.width), columns)

    def struck(self, extent: Extent, place: int) -> Words:
        group, column = divmod(place, 8 * self.row_bytes // self.width)
        first = group * self._group() + column * self.width
        rows = first + 8 * self.row_bytes * np.arange(self.rows)
        return extent.at((rows[:, None] + np.arange(self.width)).ravel())

    def said(self, extent: Extent) -> str:
        bits = "1 bit" if self.width == 1 else f"{self.width} bits"
        return f"column of {bits} in {self.rows} rows"
