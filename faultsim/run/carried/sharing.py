"""Trials of one sample of a batch, shared out over passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def placed(trials: Sequence[Trial], size: int) -> dict[int, Trial]:
    """By row of a pass, the trial that it carries: that of its own sample, if there is one.

    Where a sample carries several, the others take rows of samples that carry none.

    Args:
        trials: Fewer than ``size``.
        size: Rows of the pass.
    """
    rows: dict[int, Trial] = {}
    more = [trial for trial in trials if rows.setdefault(trial.sample, trial) is not trial]
    free = (row for row in range(size) if row not in rows)
    return rows | dict(zip(free, more, strict=False))


def samples_in(rows: Mapping[int, Trial], size: int) -> list[int] | None:
    """The sample in each row of a pass; None where each is in its own."""
    if all(trial.sample == row for row, trial in rows.items()):
        return None
    return [rows[row].sample if row in rows else row for row in range(size)]


def mixture(size: int) -> list[int]:
    """Half of the samples, in places of others, each twice: shows whether samples can be moved."""
    return [(row // 2 + 1) % size for row in range(size)]
