"""How far a campaign is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faultsim.campaign.objective import ACCURACY, Objective
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial
from faultsim.stats import Estimate


@dataclass(frozen=True)
class Progress:
    """What :func:`run_campaign` tells its caller after the golden run and after each trial.

    Attributes:
        directory: The campaign directory.
        golden: The golden run on the test split, of perturbed images where there are such.
        clean: The golden run on the images as they are, where others are perturbed.
        replays: Whether trials run only what their faults can reach.
        skipped: By name of a tensor, why no fault strikes it.
        done: Trials finished.
        total: Trials planned; a search may end with fewer.
        lost: What could have been faster, and why it is not.
        trial: The trial just finished, None at the start.
        outcome: Its outcome.
        objective: The figure that counts.
        estimate: Of a campaign that goes on until a rate is known, what is known by now.
        resumed: Trials that were recorded before.
    """

    directory: Path
    golden: Outcome
    clean: Outcome | None
    replays: bool
    skipped: Mapping[str, str]
    done: int
    total: int
    lost: Mapping[str, str] = field(default_factory=dict)
    trial: Trial | None = None
    outcome: Outcome | None = None
    objective: Objective = ACCURACY
    estimate: Estimate | None = None
    resumed: int = 0

    def after(self, **now: Any) -> Progress:
        """The same, but for what is new after a trial; there are many, so quickly made."""
        made = object.__new__(Progress)
        vars(made).update(vars(self), **now)
        return made
