"""What a margin will take, before anything is recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from torch import nn

from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.schedule import SCHEDULES, Context, Plan
from faultsim.schedule.estimate import counted
from faultsim.stats import Estimate, sample_size
from faultsim.workload import Workload
from faultsim.workload.workload import REPORTED

PILOT = 200
"""Trials of a pilot."""


@dataclass(frozen=True)
class Forecast:
    """Trials that a margin takes, by each of three ways.

    Attributes:
        population: Pairs of a bit and a sample.
        pilot: The rate, as the trials of the pilot tell it.
        margin: That was asked for; of a relative one, what it is of the rate of the pilot.
        seconds: A trial took, the median of the pilot.
        classical: Trials by the formula that knows nothing of the rate.
        known: By the same formula, if the rate is that of the pilot.
        stratified: By mode ``estimate``, if the strata fail as the pilot lets expect.
    """

    population: int
    pilot: Estimate
    margin: float
    seconds: float
    classical: int
    known: int
    stratified: int


def forecast(
    config: CampaignConfig,
    pilot: int = PILOT,
    work: Workload | None = None,
    *,
    model: nn.Module | None = None,
    data: Any = None,
) -> Forecast:
    """Runs a pilot, and says what the margin of the settings will take. Nothing is written.

    Args:
        config: Of mode ``estimate``.
        pilot: Its trials, the first that the campaign will run.
        work: As for ``run_campaign``.
        model: As for ``run_campaign``.
        data: As for ``run_campaign``.

    Raises:
        FaultSimError: As ``run_campaign``.
    """
    config = replace(config, max_trials=pilot)
    with reproducibly(config.threads):
        workload = work or make_workload(config, model, data)
        with uncompiled(workload.model):
            return _forecast(config, make_experiment(config, workload))


def _forecast(config: CampaignConfig, experiment: Experiment) -> Forecast:
    space, samples = make_space(config, experiment), experiment.golden(REPORTED).size
    counted(experiment.baseline(), config.rate)  # for its error
    model, search = experiment.workload.model, experiment.search
    plan = SCHEDULES[config.mode](Context(config, space, model, search, samples))
    seconds = median(_timed(plan, experiment))
    assert plan.learnt is not None
    rate, population = plan.learnt.rate, len(space) * samples
    margin = min(max(rate.goal.at(rate.estimate.value), 1e-6), 0.999)
    seen = min(max(rate.estimate.value, 1 / population), 0.5)
    return Forecast(
        population,
        rate.estimate,
        margin,
        seconds,
        sample_size(margin, config.confidence, population),
        sample_size(margin, config.confidence, population, seen),
        rate.needed,
    )


def _timed(plan: Plan, experiment: Experiment) -> Iterator[float]:
    """Seconds of each trial."""
    trial = next(plan.trials, None)
    while trial is not None:
        start = time.perf_counter()
        outcome = experiment.run(trial)
        yield time.perf_counter() - start
        try:
            trial = plan.trials.send(outcome)
        except StopIteration:
            return
