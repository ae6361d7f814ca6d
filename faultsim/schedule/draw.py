"""Random fault sets from a space, as the settings ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.config import CampaignConfig
from faultsim.errors import FaultError
from faultsim.faults import FaultSet
from faultsim.ops.operators import operator_of, takes_number
from faultsim.schedule.context import Context
from faultsim.schedule.reached import draw_reached
from faultsim.space import FaultSpace

FIRST_TRIES = 8  # draws for each fault wanted; the rest follow if the direction rejects them all


def draw_flips(context: Context, space: FaultSpace, n: int, trial: int) -> FaultSet:
    """``n`` distinct bits, uniform over those of the direction asked for.

    Draws of one trial number are nested: fewer faults are a prefix of more.

    Raises:
        FaultError: The space has fewer such bits.
    """
    config = context.config
    if context.reach is not None:
        return draw_reached(context, space, n, trial)
    if config.direction is None:
        return space.sample(n, seed=config.seed, trial=trial, **effect(config))
    tries = min(FIRST_TRIES * n, len(space))
    while True:
        faults = _directed(context, space.sample(tries, seed=config.seed, trial=trial))
        if len(faults) >= n:
            return faults[:n]
        if tries == len(space):
            raise FaultError(
                f"only {len(faults):,} of the {len(space):,} bits are {config.direction[0]}, "
                f"fewer than the {n:,} flips asked for"
            )
        tries = min(4 * tries, len(space))


def flips_of_each(context: Context, space: FaultSpace, n: int, trials: int) -> Iterator[FaultSet]:
    """What :func:`draw_flips` draws for each of so many trials; where it can be, many at a time."""
    config = context.config
    if context.reach is None and config.direction is None:
        return space.samples(n, range(trials), seed=config.seed, **effect(config))
    return (draw_flips(context, space, n, trial) for trial in range(trials))


def draw_bit_errors(context: Context, space: FaultSpace, rate: float, trial: int) -> FaultSet:
    """Every bit of the direction asked for, independently with probability ``rate``."""
    config = context.config
    faults = space.sample_bit_errors(rate, seed=config.seed, trial=trial, **effect(config))
    return faults if config.direction is None else _directed(context, faults)


def effect(config: CampaignConfig) -> dict[str, Any]:
    """What the faults of a campaign do."""
    operand = config.operand
    if operand is not None and operand.is_integer() and not takes_number(operator_of(config.op)):
        operand = int(operand)
    return {"op": config.op, "operand": operand}


def _directed(context: Context, faults: FaultSet) -> FaultSet:
    """The flips that go in the direction of the settings."""
    words = _words(context, faults)
    wanted = 0 if context.config.direction == "0to1" else 1
    return faults[((words & faults.mask) != 0) == bool(wanted)]


def _words(context: Context, faults: FaultSet) -> npt.NDArray[np.int64]:
    from faultsim.ops import read_words
    from faultsim.targets.weights import struck_weight

    words = np.zeros(len(faults), dtype=np.int64)
    for number, site in enumerate(faults.sites):
        rows = faults.site == number
        tensor = struck_weight(context.model, site)
        words[rows] = read_words(tensor, faults.index[rows]).cpu().numpy()
    return words
