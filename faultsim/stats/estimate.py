"""A number with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95


@dataclass(frozen=True, repr=False)
class Estimate:
    """A number with its interval.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval; None where there is no sampling to speak of.
        high: Upper end.
        n: Number of trials, or of images where those are the sample.
        method: How the interval was made.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str

    def __repr__(self) -> str:
        """As a plain number, for not all are shares."""
        ends = ""
        if self.low is not None and self.high is not None:
            ends = f" [{self.low:.4g}, {self.high:.4g}]"
        return f"Estimate({self.value:.4g}{ends}, n={self.n}, {self.method})"

    def __str__(self) -> str:
        """In percent, with as many digits as the interval has to be told from a point.

        No blank within the interval, so that a narrow table breaks before it. Where nothing or
        everything happened, the bound of what was not seen.
        """
        if self.low is None or self.high is None:
            return f"{self.value:.2%}"
        width = 100 * (self.high - self.low)
        digits = 1 if width >= 1 or width == 0 else 1 - math.floor(math.log10(width))
        if self.value == self.low == 0:
            return f"0.00% [≤{100 * self.high:.{digits}f}%]"
        if self.value == self.high == 1:
            return f"100.00% [≥{100 * self.low:.{digits}f}%]"
        ends = f"{100 * self.low:.{digits}f}–{100 * self.high:.{digits}f}%"
        return f"{self.value:.{max(2, digits)}%} [{ends}]"

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "method": self.method,
        }
