"""What a search is told: where it starts, what it lowers, and by which gradients it ranks."""

from __future__ import annotations

from dataclasses import dataclass

from faultsim.run.gradients import Gradients
from faultsim.run.outcome import Outcome


@dataclass(frozen=True)
class Search:
    """What a search starts from, and where it goes.

    Attributes:
        baseline: The golden run on the samples that it may look at.
        objective: The figure that it lowers; "" for the share of unharmed samples.
        chance: Where it may stop.
        gradients: Of the loss, by which candidates are ranked.
    """

    baseline: Outcome
    objective: str
    chance: float
    gradients: Gradients
