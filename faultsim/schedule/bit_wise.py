"""The same budget of random faults in each bit position."""

from __future__ import annotations

from faultsim.schedule.context import Context, Plan
from faultsim.schedule.random import sampled

TRIALS = 20


def bit_wise(context: Context) -> Plan:
    """A cell for each bit position and number of flips."""
    spaces = [({"bit": bit}, space) for bit, space in context.space.by_bit().items()]
    return sampled(context, list(spaces), context.config.trials or TRIALS)
