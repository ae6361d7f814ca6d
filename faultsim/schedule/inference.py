"""Trials of one sample each, made of those of a mode whose trials see the whole set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from faultsim.ops import sample_uniform
from faultsim.run.trial import Trial
from faultsim.schedule.context import Plan, Trials

SAMPLE = 2
"""Random stream beside that of the faults."""

TOGETHER = 512
"""Trials that are known at a time, so that they can share passes; a kill loses no more, unless
workers have others."""


def inferences(plan: Plan, samples: int, seed: int) -> Plan:
    """The same fault sets, each on one sample, drawn uniformly.

    The sample goes by the number of the trial within its cell, so that a campaign with more trials
    a cell begins with the same.

    Args:
        plan: Its trials do not wait for outcomes.
        samples: How many there are.
        seed: The campaign's.
    """
    return replace(plan, trials=_together(_each(plan.trials, samples, seed)))


def _each(trials: Trials, samples: int, seed: int) -> Iterator[Trial]:
    cells = Counter[str]()
    for some in trials:
        for trial in some:
            cell = json.dumps(dict(trial.cell))
            drawn = sample_uniform(samples, 1, seed=seed, trial=cells[cell], stream=SAMPLE)
            cells[cell] += 1
            yield replace(trial, sample=int(drawn))


def _together(trials: Iterator[Trial]) -> Trials:
    while some := list(islice(trials, TOGETHER)):
        yield some
