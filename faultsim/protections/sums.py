"""Sums over the results of a product beside what they must be, and what rounding may do."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch

Tensor = torch.Tensor

FLUSHED = 1.2e-38
"""What a product of float32 or bfloat16 may lose where small numbers become 0."""

ROUNDED = 6
"""Roundings of a result to its format, and of operands or weights on the way."""


class Sums(NamedTuple):
    """Sums over the results of a product, for every place that is left.

    Attributes:
        found: (\\*places), of the results; float32, or float64 of such.
        expected: The same, of the operands.
        bound: The same, of the operands' magnitudes, or more.
        terms: Numbers that are added up to a result.
        width: Results in a sum.
        off: By what share of the bound they may be off besides, perhaps (\\*places).
    """

    found: Tensor
    expected: Tensor
    bound: Tensor
    terms: int
    width: int
    off: float | Tensor = 0.0

    def gaps(self, eps: float, added: float, kind: torch.dtype) -> Gaps:
        """How far they are apart.

        Args:
            eps: Of the coarsest format in the product.
            added: Of the format that it is added up in.
            kind: Of the results. Where they may have gone beyond its range, nothing is known.
        """
        about, additions = torch.finfo(kind), 2 * (self.terms + self.width)
        lost = self.width * lost_in(kind, additions)
        known = self.expected.isfinite() & (self.bound <= about.max)
        gap = (self.found - self.expected).abs()
        ratio = torch.where(~known | (gap <= lost), 0, gap / self.bound)
        return Gaps(ratio, additions * added + ROUNDED * eps + self.off, ROUNDED * added)


class Gaps(NamedTuple):
    """How far sums over results are from what they must be, as shares of the operands' magnitudes.

    Attributes:
        ratio: (\\*places); 0 where nothing is known, NaN where a result is none.
        most: What rounding can do at worst, perhaps (\\*places).
        least: What it may always do.
    """

    ratio: Tensor
    most: float | Tensor
    least: float

    def wrong(self, usual: float = math.inf) -> Tensor:
        """(\\*places) bool: where they are further apart than rounding may lead.

        Args:
            usual: What it does, where that is known; it never does more than the most.
        """
        return ~((self.ratio <= self.most) & (self.ratio <= max(usual, self.least)))


def lost_in(kind: torch.dtype, additions: int = 1) -> float:
    """What an output of a format may be off by, whatever the operands, where numbers vanish."""
    about = torch.finfo(kind)
    return about.tiny * about.eps + additions * FLUSHED


def roundings(result: Tensor, *, convolved: bool) -> tuple[float, float]:
    """Those of the formats that a product may have been computed and added up in.

    Args:
        result: What was computed.
        convolved: Whether by a convolution.
    """
    eps = torch.finfo(result.dtype).eps
    if result.dtype == torch.float64:
        return eps, eps
    added = torch.finfo(torch.float32).eps
    if result.dtype == torch.float32:
        exact = torch.get_float32_matmul_precision() == "highest"
        short = result.is_cuda and torch.backends.cudnn.allow_tf32 if convolved else not exact
        return (torch.finfo(torch.bfloat16).eps if short else eps), added
    return eps, eps if result.is_cuda else added  # there partial sums may be rounded


def without_autocast(device: str) -> AbstractContextManager[Any]:
    """Sums are taken in the formats that they are asked for in."""
    on = torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


def width_of(of: Tensor) -> torch.dtype:
    """The format that sums are taken in."""
    return torch.float64 if of.dtype == torch.float64 else torch.float32


def wide(operand: Tensor) -> Tensor:
    return operand.to(width_of(operand))


def sum_of(out: Tensor) -> Tensor:
    return out.sum(-1, dtype=width_of(out))


def length_of(rows: Tensor) -> Tensor:
    """Euclid's, of rows; no less where squares of small numbers vanish."""
    length: Tensor = torch.linalg.vector_norm(rows, dim=-1, dtype=width_of(rows))
    return length + math.sqrt(rows.shape[-1] * FLUSHED)
