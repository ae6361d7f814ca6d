"""The same budget of random faults in each layer."""

from __future__ import annotations

from faultsim.schedule.context import Context, Plan
from faultsim.schedule.random import sampled

TRIALS = 20


def layer_wise(context: Context) -> Plan:
    """A cell for each layer and number of flips; a layer is the module that owns the tensors."""
    spaces = [({"layer": name}, space) for name, space in context.space.layers().items()]
    return sampled(context, list(spaces), context.config.trials or TRIALS)
