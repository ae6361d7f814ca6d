"""Single faults on single samples, drawn where they tell most, until a rate is known.

A pair is judged where its golden output comes from: in a pass of the one sample, or, under
granularity ``inference``, in the sample's batch, many pairs a pass. The last bits of a sample may
depend on what it shares a pass with. So the settings say which of the two it is; what was measured
to be faster never does, and a journal does not depend on time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from faultsim.config import CampaignConfig
from faultsim.config.granularity import alone
from faultsim.errors import ConfigError, did_you_mean, shown
from faultsim.faults import FaultSet
from faultsim.ops.sampling import sample_uniform_each
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial
from faultsim.schedule.context import Context, Learnt, Plan, Trials, parts_of
from faultsim.schedule.draw import effect
from faultsim.schedule.strata import Stratum, strata_of
from faultsim.stats import Goal, SequentialRate
from faultsim.stats.sequential import looks

MOST = 10_000_000
"""Trials of an estimate that no setting ends sooner."""

STRATUM, SAMPLE = 1, 2
"""Random streams beside that of the bit."""

FINE = 1 << 52
"""In how many parts a stratum's chance is told."""


def estimate(context: Context) -> Plan:
    """One rate over all bits and samples, both uniform; its strata are learnt as trials come."""
    config = context.config
    strata = strata_of(context.space, config.by)
    sizes, labels = [len(stratum.space) for stratum in strata], [s.labels for s in strata]
    parts = [rows for _, rows in parts_of(labels)]
    rate = SequentialRate(
        sizes, _goal(config), _kin(strata), parts=parts, part_margin=config.part_margin
    )
    most = config.max_trials or MOST
    return Plan(_generate(context, strata, rate, most), most, Learnt(rate, labels), adaptive=True)


def _goal(config: CampaignConfig) -> Goal:
    """Of the whole; where a margin is asked of its parts alone, the same."""
    margin = config.part_margin if config.relative is None else None
    return Goal(config.margin or margin, config.relative, config.confidence)


def _kin(strata: Sequence[Stratum]) -> list[int]:
    """Strata of one bit are alike, whatever the layer."""
    return [stratum.labels.get("bit", 0) for stratum in strata]


def _generate(
    context: Context, strata: Sequence[Stratum], rate: SequentialRate, most: int
) -> Trials:
    for first, last in _blocks(most):
        where = _places(context, rate, range(first, last))
        outcomes = yield _drawn(context, strata, where, range(first, last))
        rate.add(where, [counted(outcome, context.config.rate) > 0 for outcome in outcomes])
        if rate.reached:
            return


def _blocks(most: int) -> Iterator[tuple[int, int]]:
    first = 0
    for last in looks():
        yield first, min(last, most)
        if last >= most:
            return
        first = last


def _places(context: Context, rate: SequentialRate, trials: range) -> list[int]:
    """The strata of trials, drawn by what is known before them."""
    seed, ends = context.config.seed, np.cumsum(rate.design.chances)
    draws = sample_uniform_each(FINE, 1, trials, seed=seed, stream=STRATUM)[:, 0].numpy()
    found: list[int] = np.searchsorted(ends / ends[-1], draws / FINE, side="right").tolist()
    return found


def _drawn(
    context: Context, strata: Sequence[Stratum], where: Sequence[int], trials: range
) -> list[Trial]:
    """Trials, of each the stratum being known."""
    config, apart = context.config, alone(context.config)
    samples = sample_uniform_each(context.samples, 1, trials, seed=config.seed, stream=SAMPLE)
    numbers = defaultdict[int, list[int]](list)
    for trial, place in zip(trials, where, strict=True):
        numbers[place].append(trial)
    faults: dict[int, FaultSet] = {}
    for place, own in numbers.items():
        drawn = strata[place].space.samples(1, own, seed=config.seed, **effect(config))
        faults |= zip(own, drawn, strict=True)
    return [
        Trial(faults[trial], strata[place].labels, sample=sample, alone=apart)
        for trial, place, sample in zip(trials, where, samples[:, 0].tolist(), strict=True)
    ]


def counted(outcome: Outcome, rate: str) -> int:
    """To how many samples of a trial happened what is estimated.

    Raises:
        ConfigError: The task names no such event.
    """
    known = {"failure": outcome.sdc + outcome.due, "sdc": outcome.sdc, "due": outcome.due}
    known = {**outcome.events, **known}
    if rate not in known:
        near = did_you_mean(rate, tuple(known))
        raise ConfigError(f"--rate {shown(rate)}: there are {', '.join(known)}{near}")
    return known[rate]
