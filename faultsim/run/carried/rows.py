"""A sample's part of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from faultsim import trees
from faultsim.targets.layouts import Layout
from faultsim.workload import Batch


def part_of(tensor: torch.Tensor, layout: Layout, size: int, sample: int) -> torch.Tensor:
    """A view of the part: the dimension of samples is two, ``outer`` and ``inner``.

    Args:
        tensor: Of a batch.
        layout: Where its samples lie.
        size: Samples of the batch.
        sample: From 0.
    """
    return unfold(tensor, layout, size).select(layout.axis + 1, sample)


def some_of(
    tensor: torch.Tensor, layout: Layout, size: int, samples: Sequence[int]
) -> torch.Tensor:
    """The operand of a batch of some of the samples, dense where the batch's is."""
    unfolded = unfold(tensor, layout, size)
    if len(samples) == 1:
        mine = unfolded.narrow(layout.axis + 1, samples[0], 1)
    else:
        where = torch.tensor(samples, device=tensor.device)
        mine = unfolded.index_select(layout.axis + 1, where)
    mine = mine.flatten(layout.axis, layout.axis + 2)
    if tensor.is_contiguous():
        return mine.contiguous()  # some kernels ignore strides
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return mine.contiguous(memory_format=torch.channels_last)
    return mine


def unfold(tensor: torch.Tensor, layout: Layout, size: int) -> torch.Tensor:
    """A view whose dimension of samples is three: ``outer``, samples, ``inner``."""
    folds = (layout.outer, size, layout.inner)
    found: torch.Tensor = tensor.unflatten(layout.axis, folds)  # type: ignore[no-untyped-call]
    return found


def shifted(dim: int, layout: Layout) -> int:
    """Where another dimension of a tensor is in :func:`unfold`."""
    return dim if dim < layout.axis else dim + 2


def one_sample(tree: Any, size: int, sample: int) -> Any:
    """A batch's tree for one sample: of tensors with a row a sample that row, of lists that item.

    What belongs to all samples stays.
    """
    if isinstance(tree, list) and len(tree) == size:
        return [tree[sample]]

    def row(_: str, leaf: torch.Tensor) -> torch.Tensor:
        return leaf[sample : sample + 1] if _rows(leaf, size) else leaf

    return trees.map_tensors(tree, row)


def samples_of(tree: Any, size: int, samples: Sequence[int]) -> Any:
    """A batch's tree for some of its samples, perhaps several times; as a copy, dense as it is.

    Args:
        tree: As for :func:`one_sample`, and like it read by rows.
        size: Samples of the batch.
        samples: Which, row by row; at most ``size``.
    """
    if isinstance(tree, list) and len(tree) == size:
        return [tree[n] for n in samples]

    def picked(_: str, leaf: torch.Tensor) -> torch.Tensor:
        if not _rows(leaf, size):
            return trees.copy_of(leaf)
        copy = trees.copy_of(leaf[: len(samples)])
        if leaf.stride(0):  # else all rows are one
            copy.copy_(leaf.index_select(0, torch.tensor(samples, device=leaf.device)))
        return copy

    return trees.map_tensors(tree, picked)


def one_of(batch: Batch, sample: int) -> Batch:
    """A batch of one of its samples."""
    inputs, targets = (one_sample(t, batch.size, sample) for t in (batch.inputs, batch.targets))
    return type(batch)(inputs, targets, 1)


def has_rows(output: Any, size: int) -> bool:
    """Whether an output can be read sample by sample."""
    if isinstance(output, list) and len(output) == size:
        return True
    leaves = list(trees.tensors(output))
    return bool(leaves) and all(_rows(leaf, size) for leaf in leaves)


def _rows(leaf: torch.Tensor, size: int) -> bool:
    return leaf.ndim > 0 and len(leaf) == size
