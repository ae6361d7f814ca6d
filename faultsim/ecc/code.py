"""What every code is: data bytes to check bytes, and back what a decoder makes of both."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch

CLEAN, CORRECTED, DETECTED = 0, 1, 2
"""What a decoder says of a word. A miscorrected word is CORRECTED too: the decoder cannot know."""


class Decoded(NamedTuple):
    """What a decoder makes of some words.

    Attributes:
        data: (n, data_bytes) uint8, as it leaves the decoder; of detected words as it was read.
        status: (n,) uint8, each CLEAN, CORRECTED or DETECTED.
    """

    data: torch.Tensor
    status: torch.Tensor


class Code(Protocol):
    """A systematic block code over words of whole bytes.

    Attributes:
        data_bytes: Of a word.
        check_bits: Of a word; in the lowest bits of its check bytes.
        check_bytes: That hold them.
        reports: Whether the memory tells of what it detects and cannot correct.
    """

    data_bytes: int
    check_bits: int
    reports: bool

    @property
    def check_bytes(self) -> int: ...

    def encode(self, data: torch.Tensor) -> torch.Tensor:
        """(n, data_bytes) uint8 to (n, check_bytes) uint8."""

    def decode(self, data: torch.Tensor, check: torch.Tensor) -> Decoded:
        """What a decoder makes of (n, data_bytes) and (n, check_bytes) uint8 as they were read."""


def folded(table: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """The sum over GF(2) of what each byte of a word contributes.

    Args:
        table: (data_bytes, 256, check_bytes) uint8: the check bytes of each value of each byte.
        data: (n, data_bytes) uint8.

    Returns:
        (n, check_bytes) uint8.
    """
    table = table.to(data.device)
    total = table.new_zeros(len(data), table.shape[2])
    for rows, column in zip(table, data.T, strict=True):
        total ^= rows[column.long()]
    return total
