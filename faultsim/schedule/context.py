"""What a schedule knows, and what it is: a generator of trials that receives their outcomes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from faultsim.config import CampaignConfig
from faultsim.run.bench import Bench
from faultsim.run.trial import Outcome, Trial
from faultsim.space import FaultSpace

Trials = Generator[Trial, Outcome, None]


@dataclass(frozen=True)
class Context:
    """What a schedule may use.

    Attributes:
        config: The campaign's settings.
        space: The bits that may be struck.
        bench: The model and its golden runs.
    """

    config: CampaignConfig
    space: FaultSpace
    bench: Bench


@dataclass(frozen=True)
class Plan:
    """A schedule about to run.

    Attributes:
        trials: The generator.
        total: How many trials it will yield, or at most will.
    """

    trials: Trials
    total: int
