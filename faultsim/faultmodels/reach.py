"""What an attacker in memory can reach: the bits of a page that flip, and in which direction."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from faultsim.errors import ConfigError
from faultsim.files import Record, Whole, convert, read_bytes
from faultsim.files.toml import parse_toml

Bytes = Annotated[int, Meta(ge=1, le=2**40)]


class Cell(Record):
    """A bit of every page that can be flipped.

    Attributes:
        offset: Of the bit in its page, bit 0 of byte 0 first.
        direction: ``0to1`` or ``1to0``: the value it must have, and has then.
    """

    offset: Whole
    direction: Literal["0to1", "1to0"]


class Reach(Record):
    """A Rowhammer profile.

    Attributes:
        cell: Bits that flip.
        page: Size of a page in bytes.
        align: Each weight begins at a multiple of so many bytes, right after the one before it.
        name: What it is a profile of.
        source: Where it is from.
    """

    cell: list[Cell]
    page: Bytes = 4096
    align: Bytes = 64
    name: str = ""
    source: str = ""

    def to_json(self) -> dict[str, str]:
        """A digest of what the search depends on, SHA-256."""
        text = msgspec.json.encode((self.cell, self.page, self.align))
        return {"digest": hashlib.sha256(text).hexdigest()}


def load_reach(path: str) -> Reach:
    """The profile in a TOML file.

    Raises:
        ConfigError: There is none, or it does not fit; one line with the place in it.
    """
    table = parse_toml(read_bytes(Path(path), ConfigError), path, ConfigError)
    reach: Reach = convert(table, Reach, path, ConfigError)
    offsets = [cell.offset for cell in reach.cell]
    if not offsets:
        raise ConfigError(f"{path}: no [[cell]] can be flipped")
    if max(offsets) >= 8 * reach.page:
        last = 8 * reach.page - 1
        raise ConfigError(f"{path}: offset {max(offsets)} is beyond the last bit of a page, {last}")
    if len(set(offsets)) < len(offsets):
        twice = next(offset for offset in offsets if offsets.count(offset) > 1)
        raise ConfigError(f"{path}: offset {twice} is given twice")
    return reach
