"""What a schedule knows, and what it is: a generator of trials that receives their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from torch import nn

from faultsim.config import CampaignConfig
from faultsim.run.search import Search
from faultsim.run.trial import Outcome, Trial
from faultsim.space import FaultSpace

Trials = Generator[Trial, Outcome, None]


@dataclass(frozen=True)
class Context:
    """What a schedule may use.

    Attributes:
        config: The campaign's settings.
        space: The bits that may be struck.
        model: The model, without faults; its words are read, it is never run.
        search: What a search may look at; called by those that search.
    """

    config: CampaignConfig
    space: FaultSpace
    model: nn.Module
    search: Callable[[], Search]


@dataclass(frozen=True)
class Plan:
    """A schedule about to run.

    Attributes:
        trials: The generator.
        total: How many trials it will yield, or at most will.
    """

    trials: Trials
    total: int
