"""Uniformly random faults: k flips a trial, or a bit-error rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultsim.run.trial import Trial
from faultsim.schedule.context import Context, Plan, Trials
from faultsim.schedule.draw import draw_bit_errors, draw_flips, flips_of_each
from faultsim.schedule.events import sampled_events
from faultsim.space import FaultSpace

TRIALS = 100


def random(context: Context) -> Plan:
    """A cell for each number of flips or events, or one for the bit-error rate or time."""
    spaces: list[tuple[Mapping[str, Any], FaultSpace]] = [({}, context.space)]
    return sampled(context, spaces, context.config.trials or TRIALS)


def sampled(
    context: Context, spaces: list[tuple[Mapping[str, Any], FaultSpace]], trials: int
) -> Plan:
    """``trials`` random fault sets in each part of the space, for each number of flips.

    Args:
        context: Settings and model.
        spaces: Each part with the labels of its cells.
        trials: In each cell.

    Raises:
        FaultError: A part has fewer bits than the flips asked for, or no room for an event.
    """
    if context.fault_model is not None:
        return sampled_events(context, context.fault_model, spaces, trials)
    rate = context.config.ber
    for _, space in spaces:
        if rate is None:
            draw_flips(context, space, max(context.config.flips), 0)
    cells = len(spaces) * (1 if rate is not None else len(context.config.flips))
    return Plan(_generate(context, spaces, trials), cells * trials)


def _generate(
    context: Context, spaces: list[tuple[Mapping[str, Any], FaultSpace]], trials: int
) -> Trials:
    rate = context.config.ber
    for labels, space in spaces:
        if rate is not None:
            for trial in range(trials):
                faults = draw_bit_errors(context, space, rate, trial)
                yield [Trial(faults, {**labels, "ber": rate})]
            continue
        for flips in context.config.flips:
            for faults in flips_of_each(context, space, flips, trials):
                yield [Trial(faults, {**labels, "flips": flips})]
