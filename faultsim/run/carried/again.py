"""Ways to run an operator once more with struck words, and which of them is cheapest.

The whole batch with the words struck is what is wanted, by definition. Words that reach different
parts of an output are struck for one and the same run, for the numbers of a part depend on no other
word. A few samples cost little, but kernels may sum in another order for fewer: as many are taken
as were seen to get the bits of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from faultsim import trees
from faultsim.run.carried.hits import Hits, groups_of
from faultsim.run.carried.operators import Call
from faultsim.run.carried.reading import Reading
from faultsim.run.carried.rows import part_of, shifted, some_of, unfold
from faultsim.run.carried.storage import Undo, struck


def correct(
    call: Call,
    outputs: Sequence[torch.Tensor],
    hits: Hits,
    reading: Reading,
    size: int,
    ledger: list[Undo],
) -> None:
    """Gives each struck sample its part of the outputs, as if the whole batch had its fault.

    Args:
        call: The operator, with the operands as they were before it ran.
        outputs: What it returned; written to.
        hits: What is struck.
        reading: What is known of it.
        size: Samples of the batch.
        ledger: As for :func:`struck`.
    """
    for samples in groups_of(hits.reached):
        for some, count in _runs(samples, reading, size):
            whole = count == size
            with struck(hits.struck_for(some), ledger):
                again = of_batch(call) if whole else of_some(call, reading, size, some, count)
            places = some if whole else range(len(some))
            pairs = list(zip(some, places, strict=True))
            if hits.dims:
                _give_parts(outputs[0], size, again[0], count, pairs, hits, reading)
            else:
                _give_rows(outputs, size, again, count, pairs, reading)


def of_batch(call: Call) -> list[torch.Tensor]:
    """What the operator returns for the whole batch, from copies of what it changes."""
    fresh = {n: trees.copy_of(call.leaves[n]) for n in call.written()}
    return list(trees.tensors(call.with_operands(fresh).run()))


def of_some(
    call: Call, reading: Reading, size: int, samples: Sequence[int], count: int
) -> list[torch.Tensor]:
    """What it returns for a batch of ``count``: some of its samples, the first more than once."""
    padded = [*samples, *[samples[0]] * (count - len(samples))]
    mine: dict[int, torch.Tensor] = {}
    for leaf, layout in zip(call.tensors, reading.inputs, strict=True):
        if layout is not None:
            mine[leaf] = some_of(call.leaves[leaf], layout, size, padded)
    for leaf in call.written():
        mine[leaf] = trees.copy_of(mine.get(leaf, call.leaves[leaf]))
    return list(trees.tensors(call.with_operands(mine).run()))


def _runs(
    samples: Sequence[int], reading: Reading, size: int
) -> Iterator[tuple[Sequence[int], int]]:
    """Those of a group that share a run, and how many samples it is of: the cheapest way."""
    seconds = reading.seconds
    count = min(seconds, key=lambda n: -(-len(samples) // n) * seconds[n], default=size)
    for first in range(0, len(samples), count):
        yield samples[first : first + count], count


Pairs = Sequence[tuple[int, int]]
"""Samples of the batch, and their places in another run."""


def _give_rows(
    outputs: Sequence[torch.Tensor],
    size: int,
    again: Sequence[torch.Tensor],
    count: int,
    pairs: Pairs,
    reading: Reading,
) -> None:
    """Copies all that is a sample's."""
    for layout, output, new in zip(reading.outputs, outputs, again, strict=True):
        if layout is None:
            continue
        for sample, place in pairs:
            part_of(output, layout, size, sample).copy_(part_of(new, layout, count, place))


def _give_parts(
    output: torch.Tensor,
    size: int,
    again: torch.Tensor,
    count: int,
    pairs: Pairs,
    hits: Hits,
    reading: Reading,
) -> None:
    """Copies what the faults of each sample reach."""
    layout = reading.outputs[0]
    assert layout is not None
    rows = [(*pair, *at) for pair in pairs for at in hits.reached[pair[0]] or ()]
    samples, places, *index = torch.tensor(rows, device=output.device).unbind(1)
    where: list[Any] = [slice(None)] * (output.ndim + 2)
    for dim, at in zip(hits.dims, index, strict=True):
        where[shifted(dim, layout)] = at
    before, after = where[: layout.axis + 1], where[layout.axis + 2 :]
    there, here = (*before, samples, *after), (*before, places, *after)
    unfold(output, layout, size)[there] = unfold(again, layout, count)[here]
