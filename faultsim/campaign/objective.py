"""The figure by which the harm of a trial is told, in the words of its task."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """What counts in a campaign.

    Attributes:
        name: A score of the task; "" for the share of unharmed samples, None of a classification,
            whose accuracy counts.
        unit: What a sample is called.
    """

    name: str | None = None
    unit: str = "images"

    @property
    def key(self) -> str:
        """As :meth:`Outcome.score` takes it."""
        return "acc" if self.name is None else self.name

    @property
    def title(self) -> str:
        """What people call it."""
        return "accuracy" if self.name is None else self.name or f"unharmed {self.unit}"

    @property
    def share(self) -> bool:
        """Whether it is a part of a whole, rather than a number in units of its own."""
        return not self.name

    def text(self, value: float, digits: int = 2) -> str:
        """A value in percent, with so many digits, or as a plain number."""
        if not math.isfinite(value):
            return "not finite"
        return f"{value:.{digits}%}" if self.share else f"{value:.4g}"


ACCURACY = Objective()
"""Of image classifiers."""
