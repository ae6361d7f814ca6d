"""Trials of one sample of a batch, shared out over passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from faultsim.faults import FaultSet, Site

LEAST = 8
"""Rows of a pass, and samples of a batch that may move; what fewer would save is little."""


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


class Rows(NamedTuple):
    """What the rows of a pass hold.

    Attributes:
        trials: By row; some have none.
        samples: Of the batch, in each row.
    """

    trials: dict[int, Trial]
    samples: Sequence[int]

    @property
    def free(self) -> list[int]:
        """Rows without a trial."""
        return [row for row in range(len(self.samples)) if row not in self.trials]


def placed(trials: Sequence[Trial], size: int, count: int) -> Rows:
    """Gives each trial a row: of a pass of the whole batch that of its sample, if it is free.

    Args:
        trials: Fewer than ``count``.
        size: Samples of the batch.
        count: Rows of the pass.
    """
    rows: dict[int, Trial] = {}
    mine = trials if count == size else ()
    taken = {id(trial) for trial in mine if rows.setdefault(trial.sample, trial) is trial}
    free = (row for row in range(count) if row not in rows)
    rows |= dict(zip(free, (t for t in trials if id(t) not in taken), strict=False))
    return Rows(rows, [rows[row].sample if row in rows else row for row in range(count)])


def counts(size: int) -> list[int]:
    """Rows that a pass of a batch may have."""
    return [size, *(size // n for n in (2, 4, 8) if size // n >= LEAST)]


def ways(size: int, count: int, moves: bool) -> Iterator[tuple[bool, Sequence[int]]]:
    """Golden passes that show whether samples can be moved, and the samples in their rows.

    First the last samples, backwards, each twice: kernels treat the last rows of a pass otherwise
    than the first. Where they cannot be, or that does not give their bits, all of the batch as it
    is.
    """
    if moves:
        yield True, [size - 1 - row // 2 for row in range(count)]
    if count == size:
        yield False, range(size)
