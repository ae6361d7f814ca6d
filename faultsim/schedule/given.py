"""Fault sets that somebody chose: each is a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.ops.operators import own_operators
from faultsim.run.trial import Trial
from faultsim.schedule.context import Plan, Trials

Given = FaultSet | tuple[Mapping[str, Any], FaultSet]
"""A fault set, or one with the labels of its cell."""


def given(sets: Iterable[Given], wanted: int | None = None) -> Plan:
    """A trial for each set; those without labels share a cell with the sets of as many flips.

    Args:
        sets: In the order of the trials.
        wanted: How many the settings ask for; None for all there are.

    Raises:
        ConfigError: There is none, something else is among them, or another number was asked for.
    """
    if not isinstance(sets, Iterable):
        raise ConfigError(f"trials= wants fault sets; a {type(sets).__name__} is no iterable")
    trials = [_trial(number, one) for number, one in enumerate(sets)]
    if not trials:
        raise ConfigError("there is no fault set to try")
    check_number(len(trials), wanted)
    numbers = np.concatenate([trial.faults.table[3] for trial in trials])
    return Plan(_each(trials), len(trials), operators=tuple(own_operators(numbers)))


def check_number(sets: int, wanted: int | None) -> None:
    """Raises ConfigError where another number of trials was asked for than there are sets."""
    if wanted not in (None, sets):
        raise ConfigError(
            f"--trials {wanted}, but there {'is' if sets == 1 else 'are'} {sets} fault set"
            f"{'' if sets == 1 else 's'}, each of which is one trial: leave --trials out"
        )


def _trial(number: int, one: Given) -> Trial:
    cell, faults = one if isinstance(one, tuple) else (None, one)
    if not isinstance(faults, FaultSet):
        raise ConfigError(f"trial {number} is a {type(faults).__name__}, not a FaultSet")
    return Trial(faults, {"flips": faults.flips} if cell is None else dict(cell))


def _each(trials: Sequence[Trial]) -> Trials:
    for number in range(len(trials)):  # a list itself takes no outcomes
        yield [trials[number]]
