"""How precisely a rate is to be known."""

from __future__ import annotations

from dataclasses import dataclass

from faultsim.errors import ConfigError
from faultsim.stats.estimate import Estimate


@dataclass(frozen=True)
class Goal:
    """How precisely a rate is to be known.

    Attributes:
        margin: How far the interval may reach on either side of the value.
        relative: Or how far as a share of the value.
        confidence: That the interval holds the rate, whenever one stops.
    """

    margin: float | None = None
    relative: float | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Raises ConfigError unless it says one of the two, and all are between 0 and 1."""
        if (self.margin is None) == (self.relative is None):
            raise ConfigError("an estimate needs a margin or a relative margin, not both")
        for value in (self.margin, self.relative, self.confidence):
            if value is not None and not 0 < value < 1:
                raise ConfigError("margin, relative margin and confidence lie between 0 and 1")

    def at(self, rate: float) -> float:
        """The margin, if the rate is such."""
        return self.margin if self.margin is not None else (self.relative or 0.0) * rate

    def met(self, found: Estimate) -> bool:
        """Whether an interval reaches no farther than that; one of nothing reaches everywhere."""
        if found.n == 0 or found.low is None or found.high is None:
            return False
        return max(found.value - found.low, found.high - found.value) <= self.at(found.value)
