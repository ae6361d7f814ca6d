"""ECC in place: check bits in the bits that small int8 weights do not need."""

from __future__ import annotations

import torch
from torch import nn

from faultsim.ecc import DETECTED, Decoded
from faultsim.ecc.columns import hsiao_columns
from faultsim.errors import ConfigError
from faultsim.protections.alarms import Detected
from faultsim.protections.memory import bytes_of
from faultsim.protections.protection import Rehearsal
from faultsim.protections.weights import none_found, read_through

BLOCK, FREE = 8, 7
"""Bytes of a word, and how many of them have a bit to spare."""

SPARE, SIGN = 6, 7
"""Of a weight from -64 to 63 bit 6 is its sign's copy, and need not be stored."""


class InPlace:
    """SECDED (64,57) over eight int8 weights, in the memory of these: nothing is added.

    That of H. Guan et al. (NeurIPS 2019, arXiv 1910.14479): the first seven weights of a word must
    lie in [-64, 63], and their bits 6 hold the seven check bits. Single flips of a word are
    corrected and double ones detected. Bytes at the end that fill no word are left as they are.
    """

    name = "in-place"

    def __init__(self, pattern: str = "*") -> None:
        """Nothing is encoded yet.

        Args:
            pattern: Of names of the weights to protect; a module's name takes all below it.
        """
        self._pattern = pattern

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`.

        Raises:
            ConfigError: No int8 weight, or one with too large numbers.
        """
        if not read_through(model, ZeroSpace, self._pattern, dtypes=(torch.int8,)):
            raise none_found(self.name, "int8 weight", self._pattern)


class ZeroSpace(nn.Module):
    """What reads one tensor: its memory holds code words from then on."""

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        rows = _rows(bytes_of(tensor))
        large = int(((rows >> SPARE & 1) != (rows >> SIGN & 1))[:, :FREE].sum())
        if large:
            raise ConfigError(
                f"{large:,} weights that are to hold a check bit lie outside [-64, 63]: retrain "
                "with smaller ones, clamp them, or choose secded"
            )
        self._read = tensor.detach().clone()  # what words that nothing struck decode to
        self._written = encoded(rows)

    def right_inverse(self, tensor: torch.Tensor) -> torch.Tensor:
        """A weight as it is stored."""
        stored = _like(tensor)
        _rows(bytes_of(stored)).copy_(encoded(_rows(bytes_of(tensor))))
        return stored

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        rows = _rows(bytes_of(stored))
        self._written, self._read = self._written.to(rows.device), self._read.to(rows.device)
        struck = (rows != self._written).any(1).nonzero()[:, 0]
        used = _like(self._read)
        tail = len(rows) * BLOCK
        bytes_of(used)[tail:] = bytes_of(stored)[tail:]
        if len(struck):
            found = decoded(rows[struck])
            if bool((found.status == DETECTED).any()):
                raise Detected("a word of a weight cannot be corrected")
            _rows(bytes_of(used))[struck] = found.data
        return used


def encoded(rows: torch.Tensor) -> torch.Tensor:
    """(n, 8) uint8, weights to code words."""
    bare = _bare(rows)
    checks = _syndrome(bare)
    for at in range(FREE):
        bare[:, at] |= (checks >> at & 1) << SPARE
    return bare


def decoded(rows: torch.Tensor) -> Decoded:
    """(n, 8) uint8, code words to weights, each word as the decoder of SECDED takes it."""
    status, byte, mask = (table.to(rows.device) for table in _ANSWERS)
    found = _syndrome(rows).long()
    at = byte[found][:, None]
    right = rows.scatter(1, at, rows.gather(1, at) ^ mask[found][:, None])
    right[:, :FREE] = right[:, :FREE] & ~(1 << SPARE) & 0xFF | (right[:, :FREE] >> 1 & 1 << SPARE)
    return Decoded(right, status[found])


def _columns() -> list[int]:
    """Of each bit of a word: its check bits are the bits 6 of seven bytes."""
    data = iter(hsiao_columns(BLOCK * 8 - FREE, FREE))
    places = [(at, bit) for at in range(BLOCK) for bit in range(8)]
    return [1 << at if bit == SPARE and at < FREE else next(data) for at, bit in places]


def _tables() -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """The syndrome of each value of each byte; by syndrome: status, byte and mask."""
    columns = _columns()
    table = torch.zeros(BLOCK, 256, dtype=torch.uint8)
    for place, column in enumerate(columns):
        table[place // 8] ^= (torch.arange(256) >> place % 8 & 1).to(torch.uint8) * column
    status = torch.full((128,), DETECTED, dtype=torch.uint8)
    byte, mask = torch.zeros(128, dtype=torch.long), torch.zeros(128, dtype=torch.uint8)
    status[0] = 0
    for place, column in enumerate(columns):
        status[column], byte[column], mask[column] = 1, place // 8, 1 << place % 8
    return table, (status, byte, mask)


def _syndrome(rows: torch.Tensor) -> torch.Tensor:
    table = _TABLE.to(rows.device)
    total = rows.new_zeros(len(rows))
    for at in range(BLOCK):
        total ^= table[at][rows[:, at].long()]
    return total


def _bare(rows: torch.Tensor) -> torch.Tensor:
    """Without the bits that need not be stored."""
    bare = rows.clone()
    bare[:, :FREE] &= 0xFF ^ 1 << SPARE
    return bare


def _rows(memory: torch.Tensor) -> torch.Tensor:
    """A view of the whole words: (n, 8) uint8."""
    return memory[: len(memory) // BLOCK * BLOCK].view(-1, BLOCK)


def _like(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in the same order of memory."""
    return torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
    ).copy_(tensor.detach())


_TABLE, _ANSWERS = _tables()
