"""What was chosen to be protected for a budget, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from faultsim.campaign.protections_record import Paid

Resource = Literal["time", "memory"]
Rate = Literal["failure", "sdc", "due"]


@dataclass(frozen=True)
class Layer:
    """A layer that could be protected.

    Attributes:
        name: Of it.
        gain: Of the harm of all faults, in shares of samples, what protecting it alone removes of
            the recorded trials.
        cost: Of the bare model's time or memory.
        chosen: Whether it is to be protected.
    """

    name: str
    gain: float
    cost: float
    chosen: bool


@dataclass(frozen=True)
class Hardening:
    """What :func:`faultsim.harden` chose, and what came of it.

    Attributes:
        protection: Its name.
        protect: The choice, as ``--protect`` and :func:`faultsim.protect` take it; "" for none.
        of: What the budget is of.
        budget: Of it, as a share of the bare model's.
        rate: The harm that was to be removed.
        harm: Of the recorded trials, in shares of samples.
        predicted: The change that the recorded trials promise, negative.
        method: How the layers were chosen, and how good that is at least.
        layers: All that could be protected and would gain something, most gain first.
        fresh: The choice on fresh faults, paired with the bare model; None where there is none.
        everything: The protection of all layers on the same fresh faults.
    """

    protection: str
    protect: str
    of: Resource
    budget: float
    rate: Rate
    harm: float
    predicted: float
    method: str
    layers: Sequence[Layer]
    fresh: Paid | None
    everything: Paid | None

    @property
    def holds(self) -> bool:
        """Whether fresh faults show that the choice removes harm and is within the budget.

        That is: the interval of the change lies below 0, and what was measured of the whole choice
        does not pass the budget.
        """
        if self.fresh is None:
            return False
        change = next(each for each in self.fresh.changes if each.rate == self.rate)
        high, spent = change.difference.high, getattr(self.fresh.cost, self.of) - 1
        return high is not None and high < 0 and spent <= self.budget
