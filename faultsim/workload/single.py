"""One sample of a batch as a batch of its own."""

from __future__ import annotations

from typing import Any

import torch

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch


def single(batch: Batch, number: int) -> Batch:
    """Sample ``number`` alone: its row of every tensor, its item of every list of samples.

    What has no row for each sample belongs to all of them, and stays whole.

    Raises:
        ConfigError: Nothing in the inputs has a row for each sample.
    """
    if batch.size == 1:
        return batch
    inputs = _cut(batch.inputs, batch.size, number)
    if inputs is batch.inputs:
        raise ConfigError(
            f"a batch of {batch.size} samples cannot be cut into single ones: none of its inputs "
            "has a row for each; give batches of one sample"
        )
    return Batch(inputs, _cut(batch.targets, batch.size, number), 1)


def _cut(tree: Any, size: int, number: int) -> Any:
    if isinstance(tree, list) and len(tree) == size and not _has_rows(tree, size):
        return [tree[number]]
    if isinstance(tree, torch.Tensor):
        return tree[number : number + 1] if tree.ndim and len(tree) == size else tree
    parts = trees.items(tree)
    cut = {key: _cut(item, size, number) for key, item in parts.items()}
    changed = any(cut[key] is not item for key, item in parts.items())
    return trees.rebuilt(tree, cut) if changed else tree


def _has_rows(tree: Any, size: int) -> bool:
    """Whether a list is a pair, or some parts, of which each holds all samples."""
    return any(leaf.ndim and len(leaf) == size for leaf in trees.tensors(tree))
