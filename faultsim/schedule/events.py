"""Events of a fault model: so many in each trial, or as many as a time brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from faultsim.errors import ConfigError
from faultsim.faultmodels import FaultModel, Sampler
from faultsim.faultmodels.numbers import poisson
from faultsim.run.trial import Trial
from faultsim.schedule.context import Context, Plan, Trials
from faultsim.space import FaultSpace
from faultsim.stats.fit import MBIT, PER_HOUR

Labels = Mapping[str, Any]


class Part(NamedTuple):
    """A part of the space, and what draws events in it."""

    labels: Labels
    sampler: Sampler
    bits: int


def sampled_events(
    context: Context,
    model: FaultModel,
    spaces: Sequence[tuple[Labels, FaultSpace]],
    trials: int,
) -> Plan:
    """``trials`` draws in each part of the space, for each number of events or one time.

    Args:
        context: Settings and model.
        model: The events.
        spaces: Each part with the labels of its cells.
        trials: In each cell.

    Raises:
        ConfigError: A time, and no rate is known.
        FaultError: An event fits nowhere in a part.
    """
    config = context.config
    parts = [
        Part(labels, Sampler(model, space, context.model, _where(labels)), len(space))
        for labels, space in spaces
    ]
    if config.hours is None:
        most = max(config.events)
        for part in parts:
            part.sampler.draw(most, seed=config.seed, op=config.op)  # for its error
        return Plan(_numbered(context, parts, trials), len(parts) * len(config.events) * trials)
    rate = model.fit_per_mbit if config.fit_per_mbit is None else config.fit_per_mbit
    if rate is None:
        raise ConfigError(
            f"--hours needs a rate, and fault model {model.name} has none: give --fit-per-mbit"
        )
    poisson(rate * PER_HOUR * config.hours * max(p.bits for p in parts) / MBIT, seed=0, trial=0)
    return Plan(_timed(context, parts, trials, rate), len(parts) * trials)


def _where(labels: Labels) -> str:
    return " ".join(f"{name} {value}" for name, value in labels.items()) or "the space"


def _numbered(context: Context, parts: Sequence[Part], trials: int) -> Trials:
    config = context.config
    for labels, sampler, _ in parts:
        for events in config.events:
            for trial in range(trials):
                faults = sampler.draw(events, seed=config.seed, trial=trial, op=config.op)
                yield [Trial(faults, {**labels, "events": events})]


def _timed(context: Context, parts: Sequence[Part], trials: int, rate: float) -> Trials:
    config = context.config
    assert config.hours is not None
    for labels, sampler, bits in parts:
        mean = rate * PER_HOUR * config.hours * bits / MBIT
        for trial in range(trials):
            events = poisson(mean, seed=config.seed, trial=trial)
            faults = sampler.draw(events, seed=config.seed, trial=trial, op=config.op)
            yield [Trial(faults, {**labels, "hours": config.hours})]
