"""Trials of one sample of a batch, shared out over passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from faultsim.faults import FaultSet, Site


class Trial(NamedTuple):
    """One trial of a batch.

    Attributes:
        number: Among those that were asked for.
        faults: What is struck.
        sample: Of the batch, from 0.
        sites: What the faults are in.
        cut: Where a pass with them may begin.
    """

    number: int
    faults: FaultSet
    sample: int
    sites: tuple[Site, ...]
    cut: int


def passes(trials: Sequence[Trial], size: int) -> list[list[Trial]]:
    """Shares trials out so that no sample carries two in one pass, and one carries none.

    That one shows whether faults reached samples that are not theirs. Passes are filled in the
    order of the trials: where those that begin early come first, later passes begin late.
    """
    rounds: list[dict[int, Trial]] = []
    first: dict[int, int] = {}  # of each sample, the first round that may have room for it
    open_ = 0
    for trial in trials:
        turn = max(first.get(trial.sample, 0), open_)
        while turn < len(rounds) and len(rounds[turn]) >= size - 1:
            turn += 1
        if turn == len(rounds):
            rounds.append({})
        rounds[turn][trial.sample] = trial
        first[trial.sample] = turn + 1
        while open_ < len(rounds) and len(rounds[open_]) >= size - 1:
            open_ += 1
    return [list(each.values()) for each in rounds]
