"""The codes by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from faultsim.ecc.binary import BinaryCode
from faultsim.ecc.code import Code
from faultsim.ecc.columns import hamming_columns, hsiao_columns
from faultsim.ecc.reed_solomon import ReedSolomon
from faultsim.errors import ConfigError, did_you_mean, shown

CODES: dict[str, Callable[[], Code]] = {
    "secded": lambda: BinaryCode(hsiao_columns(64, 8), 8),
    "secded-39": lambda: BinaryCode(hsiao_columns(32, 7), 7),
    "on-die": lambda: BinaryCode(hamming_columns(128, 8), 8, reports=False),
    "parity": lambda: BinaryCode([1] * 32, 1, corrects=False),
    "chipkill": lambda: ReedSolomon(16, 1),
    "chipkill-2": lambda: ReedSolomon(32, 2),
}
"""SECDED (72,64) and (39,32) of Hsiao; the (136,128) of a DRAM die, whose matrices no vendor has
published (this one has the lightest columns) and which corrects in silence; a parity bit for 32;
RS(18,16) and RS(36,32), of which a chip holds a byte of each word: one and two chips may fail."""


@cache
def code_named(name: str) -> Code:
    """The code of a name.

    Raises:
        ConfigError: There is none.
    """
    if name not in CODES:
        raise ConfigError(
            f"{shown(name)} is no code{did_you_mean(name, CODES)}; there are {', '.join(CODES)}"
        )
    return CODES[name]()
