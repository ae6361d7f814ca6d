"""What a margin will take, before anything is recorded."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from torch import nn

from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.campaign.untouched import untouched
from faultsim.campaign.workers import cluster_of, shared_out
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.schedule import SCHEDULES, Context, Learnt, Plan
from faultsim.schedule.context import parts_of
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
        seconds: A trial took, the median of the pilot, which one process ran.
        workers: That trials are to be shared out to.
        classical: Trials by the formula that knows nothing of the rate; with a margin of their own
            for bits and layers, of all of these.
        known: By the same formula, if the rate is that of the pilot; or the highest that this
            allows, where nothing failed in it.
        stratified: By mode ``estimate``, if the strata fail as the pilot lets expect.
    """

    population: int
    pilot: Estimate
    margin: float
    seconds: float
    classical: int
    known: int
    stratified: int
    workers: int = 1

    def time(self, trials: int) -> float:
        """Seconds that so many trials take, if workers do not wait for one another."""
        return trials * self.seconds / self.workers


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
    with untouched(), cluster_of(config):
        config = shared_out(config)
        with reproducibly(config.threads):
            workload = work or make_workload(config, model, data)
            with uncompiled(workload.model):
                return _forecast(config, make_experiment(config, workload))


def _forecast(config: CampaignConfig, experiment: Experiment) -> Forecast:
    space, samples = make_space(config, experiment), experiment.golden(REPORTED).size
    counted(experiment.baseline(), config.rate)  # for its error
    assert isinstance(config.workers, int)
    model, search = experiment.workload.model, experiment.search
    plan = SCHEDULES[config.mode](Context(config, space, model, search, samples))
    seconds = median(_timed(plan, experiment))
    assert plan.learnt is not None
    rate, population = plan.learnt.rate, len(space) * samples
    margin = min(max(rate.goal.at(rate.estimate.value), 1e-6), 0.999)
    formula = partial(_by_formula, config, plan.learnt, population, margin)
    return Forecast(
        population,
        rate.estimate,
        margin,
        seconds,
        formula(known=False),
        formula(known=True),
        rate.needed,
        config.workers,
    )


def _by_formula(
    config: CampaignConfig, learnt: Learnt, population: int, margin: float, *, known: bool
) -> int:
    """Trials for the whole; or for all bits, or all layers, where those want more."""

    def trials(margin: float, share: float, rate: float) -> int:
        pairs = max(round(share * population), 1)
        seen = min(max(rate, 1 / (pairs + 1)), 0.5) if known else 0.5
        return sample_size(margin, config.confidence, pairs, seen)

    wanted = Counter(whole=trials(margin, 1.0, _guess(learnt.rate.estimate)))
    if config.part_margin is not None:
        for labels, rows in parts_of(learnt.strata):
            share, own = float(learnt.rate.weights[rows].sum()), _guess(learnt.rate.within(rows))
            wanted[next(iter(labels))] += trials(config.part_margin, share, own)
    return max(wanted.values())


def _guess(pilot: Estimate) -> float:
    """The rate by a pilot: none at all is unlikely to be the truth."""
    return pilot.value if pilot.value > 0 else pilot.high or 0.5


def _timed(plan: Plan, experiment: Experiment) -> Iterator[float]:
    """Seconds of each trial."""
    together = next(plan.trials, None)
    while together is not None:
        start = time.perf_counter()
        outcomes = list(experiment.outcomes(together))
        yield from [(time.perf_counter() - start) / len(outcomes)] * len(outcomes)
        try:
            together = plan.trials.send(outcomes)
        except StopIteration:
            return
