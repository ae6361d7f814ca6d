"""Arithmetic in GF(256), over tensors of bytes."""

from __future__ import annotations

import torch

POLYNOMIAL = 0x11D
"""x^8 + x^4 + x^3 + x^2 + 1, which is primitive: powers of x are all numbers but 0."""

ORDER = 255


def _powers() -> tuple[list[int], list[int]]:
    powers, logs, value = [0] * (2 * ORDER), [0] * 256, 1
    for power in range(ORDER):
        powers[power] = powers[power + ORDER] = value
        logs[value] = power
        value = value << 1 ^ (POLYNOMIAL if value & 0x80 else 0)
    return powers, logs


POWERS, LOGS = _powers()
_POWERS = torch.tensor(POWERS, dtype=torch.uint8)
_LOGS = torch.tensor(LOGS, dtype=torch.long)


def log(numbers: torch.Tensor) -> torch.Tensor:
    """Of uint8 other than 0; of 0 it is 0."""
    return _LOGS.to(numbers.device)[numbers.long()]


def power(exponents: torch.Tensor) -> torch.Tensor:
    """Powers of x, as uint8."""
    return _POWERS.to(exponents.device)[exponents % ORDER]


def times(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Products of uint8, broadcast."""
    return torch.where((one == 0) | (other == 0), 0, power(log(one) + log(other))).to(torch.uint8)


def over(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Quotients of uint8; by 0 something that means nothing."""
    return torch.where(one == 0, 0, power(log(one) - log(other))).to(torch.uint8)


def product(one: int, other: int) -> int:
    """Of two plain numbers."""
    return POWERS[LOGS[one] + LOGS[other]] if one and other else 0
