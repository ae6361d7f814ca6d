"""Faults at numbers of a space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from faultsim.errors import FaultError
from faultsim.faults import FaultSet, Site
from faultsim.faults.columns import Ints
from faultsim.faults.numbers import operand_from
from faultsim.ops.operators import (
    Op,
    Operand,
    column_of,
    compiled,
    number_of,
    strikes_bits,
    takes_random,
)
from faultsim.ops.sampling import LAST_STREAM, random_words
from faultsim.space.numbering import Numbering

Key = tuple[int, int, int]
"""Seed, trial and stream of random bits."""


def located(
    sites: Sequence[Site],
    numbering: Numbering,
    positions: Ints,
    op: Op,
    operand: Operand | None,
    keys: Sequence[Key],
) -> Iterator[FaultSet]:
    """Fault sets, many in a fraction of the time that each takes by itself.

    Args:
        sites: Those that are numbered.
        numbering: Of their bits, or words.
        positions: (sets, n) distinct numbers in each row.
        op: What strikes them.
        operand: What it takes besides the word.
        keys: (sets,) of the random bits of operators that use some.

    Raises:
        FaultError: An operator without the operand that it needs.
    """
    known = compiled(op)
    if known == "replace" and operand is None:
        raise FaultError("replace needs an operand: the new word")
    column = 0 if strikes_bits(known) else column_of(known, operand_from(operand, known))
    number, index, mask, step = numbering.at(positions)
    random = _random_bits(positions.shape[1], keys) if takes_random(known) else 0
    tables = np.empty((len(positions), 8, positions.shape[1]), np.int64)
    rest = index, mask, number_of(known), column, -1, step, random
    for row, values in enumerate(rest, start=1):
        tables[:, row] = values
    for table, own in zip(tables, number, strict=True):
        used, table[0] = np.unique(own, return_inverse=True) if len(own) > 1 else (own, 0)
        yield FaultSet.trusted(tuple(sites[i] for i in used.tolist()), table)


def _random_bits(n: int, keys: Sequence[Key]) -> Ints:
    """(keys, n) random bits."""
    draws = (random_words(n, seed, trial, LAST_STREAM - stream) for seed, trial, stream in keys)
    return np.stack([draw.numpy() for draw in draws])
