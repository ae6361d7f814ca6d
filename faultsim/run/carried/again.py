"""Ways to run an operator once more with struck words, and which of them is cheapest.

The whole batch with the words struck is what is wanted, by definition. Words that reach different
parts of an output are struck for one and the same run, for the numbers of a part depend on no other
word. A sample alone costs least, but kernels may sum in another order for it: that way is taken
where it was seen to give the bits of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from faultsim import trees
from faultsim.run.carried.operators import Call
from faultsim.run.carried.regions import Region, region_of
from faultsim.run.carried.rows import alone, part_of, shifted, spread
from faultsim.run.carried.storage import Struck, coordinates, memory_of, struck
from faultsim.targets.layouts import Layout


@dataclass
class Reading:
    """What is known of an operator that reads weights.

    Attributes:
        inputs: Where samples lie in its tensors; None in those without.
        outputs: The same for what it returns.
        derives: Whether it makes a value that is the same for all samples, as of weights alone.
        batch_seconds: What a run of the whole batch costs.
        sample_seconds: What one sample alone costs; None where its bits may be others.
    """

    inputs: tuple[Layout | None, ...]
    outputs: tuple[Layout | None, ...]
    derives: bool = False
    batch_seconds: float = 0.0
    sample_seconds: float | None = None


@dataclass
class Hit:
    """What one sample's fault means to an operator.

    Attributes:
        parts: The struck words, a storage each.
        regions: What they reach; None where that is not known.
    """

    parts: list[Struck] = field(default_factory=list)
    regions: list[Region] | None = field(default_factory=list)


def hits_of(
    call: Call, patches: dict[int, dict[int, Struck]], output: torch.Tensor | None
) -> dict[int, Hit]:
    """By sample, what of its faults an operator reads.

    Args:
        call: The operator.
        patches: By address of a storage, by sample, the words that are struck there.
        output: Its first, where regions are wanted.
    """
    found: dict[int, Hit] = {}
    for leaf in call.tensors:
        tensor = call.leaves[leaf]
        for sample, part in patches.get(memory_of(tensor), {}).items():
            place = coordinates(tensor, part)
            if place is not None and not len(place[0]):
                continue
            hit = found.setdefault(sample, Hit())
            if not any(part is known for known in hit.parts):
                hit.parts.append(part)
            region = None
            if place is not None and output is not None:
                region = region_of(call, leaf, place[1], output)
            hit.regions = None if region is None or hit.regions is None else [*hit.regions, region]
    return found


def correct(
    call: Call,
    outputs: Sequence[torch.Tensor],
    hits: dict[int, Hit],
    reading: Reading,
    size: int,
    ledger: list[Struck],
) -> None:
    """Gives each struck sample its part of the outputs, as if the whole batch had its fault.

    Args:
        call: The operator, with the operands as they were before it ran.
        outputs: What it returned; written to.
        hits: By sample.
        reading: What is known of it.
        size: Samples of the batch.
        ledger: As for :func:`struck`.
    """
    groups = _groups(hits, reading)
    each = reading.sample_seconds
    if each is not None and len(hits) * each < len(groups) * reading.batch_seconds:
        for sample, hit in hits.items():
            with struck(hit.parts, ledger):
                again = of_sample(call, reading, size, sample)
            for layout, output, new in zip(reading.outputs, outputs, again, strict=True):
                if layout is not None:
                    part_of(output, layout, size, sample).copy_(spread(new, layout))
        return
    for group in groups:
        with struck([part for sample in group for part in hits[sample].parts], ledger):
            again = of_batch(call)
        for sample in group:
            _give(outputs, again, hits[sample], reading, size, sample)


def of_batch(call: Call) -> list[torch.Tensor]:
    """What the operator returns for the whole batch, from copies of what it changes."""
    fresh = {n: trees.copy_of(call.leaves[n]) for n in call.written()}
    return list(trees.tensors(call.with_operands(fresh).run()))


def of_sample(call: Call, reading: Reading, size: int, sample: int) -> list[torch.Tensor]:
    """What it returns for a batch of one of its samples."""
    mine: dict[int, torch.Tensor] = {}
    for leaf, layout in zip(call.tensors, reading.inputs, strict=True):
        if layout is not None:
            mine[leaf] = alone(call.leaves[leaf], layout, size, sample)
    for leaf in call.written():
        mine[leaf] = trees.copy_of(mine.get(leaf, call.leaves[leaf]))
    return list(trees.tensors(call.with_operands(mine).run()))


def _groups(hits: dict[int, Hit], reading: Reading) -> list[list[int]]:
    """Samples whose faults reach different parts of the output, a run each group."""
    groups: list[tuple[set[tuple[int, ...]], list[int]]] = []
    dims = {region.dims for hit in hits.values() for region in hit.regions or ()}
    axis = None if reading.outputs[0] is None else reading.outputs[0].axis
    apart = len(dims) == 1 and axis not in next(iter(dims))
    for sample, hit in hits.items():
        if hit.regions is None or not apart:
            hit.regions = None
            groups.append((set(), [sample]))
            continue
        mine = {tuple(at) for region in hit.regions for at in region.at.tolist()}
        for taken, samples in groups:
            if taken and not taken & mine:
                taken |= mine
                samples.append(sample)
                break
        else:
            groups.append((mine, [sample]))
    return [samples for _, samples in groups]


def _give(
    outputs: Sequence[torch.Tensor],
    again: Sequence[torch.Tensor],
    hit: Hit,
    reading: Reading,
    size: int,
    sample: int,
) -> None:
    if hit.regions is None:
        for layout, output, new in zip(reading.outputs, outputs, again, strict=True):
            if layout is not None:
                part_of(output, layout, size, sample).copy_(part_of(new, layout, size, sample))
        return
    layout = reading.outputs[0]
    assert layout is not None
    mine, new = (part_of(t, layout, size, sample) for t in (outputs[0], again[0]))
    for region in hit.regions:
        where: list[Any] = [slice(None)] * mine.ndim
        for dim, index in zip(region.dims, torch.from_numpy(region.at.T.copy()), strict=True):
            where[shifted(dim, layout)] = index.to(mine.device)
        mine[tuple(where)] = new[tuple(where)]
