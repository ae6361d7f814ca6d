"""Patterns: which words and bits of a tensor one event strikes together, one file a family."""

from __future__ import annotations

from faultsim.faults.patterns.bits import AdjacentBits, Bit, ScatteredBits
from faultsim.faults.patterns.blocks import Byte, Line, Word
from faultsim.faults.patterns.channel import Channel
from faultsim.faults.patterns.dram import Beat, Column, Pin, Row
from faultsim.faults.patterns.event import Event
from faultsim.faults.patterns.extent import Extent, Words
from faultsim.faults.patterns.systolic import Systolic
from faultsim.faults.patterns.tile import Tile
from faultsim.faults.patterns.warp import Lane, Warp

AnyEvent = (
    Bit | AdjacentBits | ScatteredBits
    | Byte | Word | Line
    | Beat | Pin | Row | Column
    | Lane | Warp
    | Systolic
    | Channel | Tile
)  # fmt: skip
"""What a fault model is made of."""

PATTERNS: tuple[str, ...] = tuple(str(kind.__struct_config__.tag) for kind in AnyEvent.__args__)
"""Their names, as files have them."""

__all__ = ["PATTERNS", "AnyEvent", "Event", "Extent", "Words"]
