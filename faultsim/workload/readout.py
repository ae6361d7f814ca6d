"""What tasks read out of outputs and batches, and how they tell a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from faultsim import trees


def named(tree: Any, *names: str) -> Any:
    """A tensor itself; else what a tree calls by the first of ``names`` that it has, or None.

    Of a tuple or list without such names, what its first item holds.
    """
    if isinstance(tree, torch.Tensor):
        return tree
    for name in names:
        found = tree.get(name) if isinstance(tree, Mapping) else getattr(tree, name, None)
        if found is not None:
            return found
    return named(tree[0], *names) if isinstance(tree, (tuple, list)) and tree else None


def reals(tree: Any, size: int) -> torch.Tensor:
    """All floating-point numbers of a tree of rows, a row a sample: (size, numbers) float64.

    Tensors without a row for each sample are left out; the gradient goes through.
    """
    leaves = [leaf for leaf in trees.tensors(tree) if _real_rows(leaf, size)]
    rows = [leaf.reshape(size, -1).double() for leaf in leaves if leaf.numel()]
    return torch.cat(rows, dim=1) if rows else torch.empty(size, 0, dtype=torch.float64)


def _real_rows(leaf: torch.Tensor, size: int) -> bool:
    return leaf.is_floating_point() and leaf.ndim > 0 and len(leaf) == size


def number(value: torch.Tensor | float) -> float | None:
    """A figure; None where it is undefined: NaN."""
    found = float(value)
    return None if math.isnan(found) else found


def mean(values: torch.Tensor) -> float | None:
    """The mean of all; None of nothing, or where it is undefined."""
    return number(values.double().mean()) if values.numel() else None
