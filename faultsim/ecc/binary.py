"""Codes of single bits: each has a syndrome of its own, or all share one."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from faultsim.ecc.code import CLEAN, CORRECTED, DETECTED, Decoded, folded


class BinaryCode:
    """A code that is told by the columns of its parity-check matrix, and decoded by syndrome.

    A syndrome that is a column corrects that bit; any other but zero is detected.

    Attributes:
        columns: Of the data bits, the least significant of the first byte first; those of the check
            bits are the powers of two.
    """

    def __init__(
        self,
        columns: Sequence[int],
        check_bits: int,
        *,
        corrects: bool = True,
        reports: bool = True,
    ) -> None:
        """Tables are made here, once.

        Args:
            columns: One a data bit, a multiple of eight of them, each below ``2**check_bits``.
            check_bits: At most eight.
            corrects: Whether the decoder corrects at all.
            reports: Whether the memory tells of what it detects and cannot correct.
        """
        self.columns = tuple(columns)
        self.data_bytes, self.check_bits, self.check_bytes = len(columns) // 8, check_bits, 1
        self.reports = reports
        self._table = torch.tensor(
            [
                [[_sum(columns[8 * at : 8 * at + 8], value)] for value in range(256)]
                for at in range(self.data_bytes)
            ],
            dtype=torch.uint8,
        )
        self._status, self._byte, self._mask = self._answers(corrects)

    def _answers(self, corrects: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """By syndrome: the status, and which byte of the data is changed by which mask."""
        status = torch.full((256,), DETECTED, dtype=torch.uint8)
        byte, mask = torch.zeros(256, dtype=torch.long), torch.zeros(256, dtype=torch.uint8)
        status[0] = CLEAN
        if corrects:
            for bit, column in enumerate(self.columns):
                status[column], byte[column], mask[column] = CORRECTED, bit // 8, 1 << bit % 8
            for bit in range(self.check_bits):
                status[1 << bit] = CORRECTED
        return status, byte, mask

    def encode(self, data: torch.Tensor) -> torch.Tensor:
        """See :class:`~faultsim.ecc.Code`."""
        return folded(self._table, data)

    def decode(self, data: torch.Tensor, check: torch.Tensor) -> Decoded:
        """See :class:`~faultsim.ecc.Code`."""
        syndrome = (self.encode(data) ^ check)[:, 0].long()
        status, byte, mask = (t.to(data.device)[syndrome] for t in self._tables)
        at = byte[:, None]
        return Decoded(data.scatter(1, at, data.gather(1, at) ^ mask[:, None]), status)

    @property
    def _tables(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._status, self._byte, self._mask


def _sum(columns: Sequence[int], value: int) -> int:
    total = 0
    for bit, column in enumerate(columns):
        total ^= column if value >> bit & 1 else 0
    return total
