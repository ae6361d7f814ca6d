"""Indices and patterns as users give them, made columns of int64 beside a tensor, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import FaultError
from faultsim.formats import signed
from faultsim.ops._native import native
from faultsim.ops.memory import check_tensor

Index = int | Sequence[int] | npt.NDArray[Any] | torch.Tensor
Patterns = Index
Operands = Patterns | float | Sequence[float]


def checked_index(tensor: torch.Tensor, index: Index) -> torch.Tensor:
    """The indices beside the tensor; checked unless they are on a device already."""
    check_tensor(tensor)
    where = _integers(index)
    if where.is_cuda and tensor.is_cuda:
        return where.to(tensor.device)
    where = where if where.is_cpu else where.cpu()
    bad = native().first_out_of_bounds(where.data_ptr(), len(where), tensor.numel())
    if bad >= 0:
        raise FaultError(
            f"index {int(where[bad])} is outside a tensor of shape {tuple(tensor.shape)}, which "
            f"has {tensor.numel()} elements"
        )
    return where if tensor.is_cpu else where.to(tensor.device)


def checked_patterns(
    tensor: torch.Tensor, operand: Patterns, n: int, narrow: bool = True
) -> torch.Tensor:
    """A column beside the tensor; checked to fit its words unless it is on a device already."""
    patterns = _integers(operand)
    if len(patterns) not in (1, n):
        raise FaultError(f"{len(patterns)} masks for {n} indices; give one, or as many as indices")
    bits = 8 * tensor.element_size()
    unchecked = not narrow or (patterns.is_cuda and tensor.is_cuda)
    if bits < 64 and len(patterns) and not unchecked:
        low, high = (int(end) for end in torch.aminmax(patterns))
        if low < -(1 << (bits - 1)) or high >= 1 << bits:
            wide = low if low < 0 else high
            raise FaultError(f"mask {wide:#x} is wider than the {bits} bits of {tensor.dtype}")
    return patterns if tensor.is_cpu and patterns.is_cpu else patterns.to(tensor.device)


def _integers(values: Index) -> torch.Tensor:
    """``values`` as a contiguous 1-D int64 tensor; unsigned 64-bit patterns wrap."""
    if isinstance(values, torch.Tensor):
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise FaultError(f"indices and masks must be integers, not {values.dtype}")
        return values.to(values.device, torch.int64).reshape(-1).contiguous()
    if isinstance(values, (int, np.integer)):
        values = [int(values)]
    if isinstance(values, Sequence):
        if not all(isinstance(v, (int, np.integer)) for v in values):
            raise FaultError("indices and masks must be integers")
        return torch.tensor([signed(int(v)) for v in values], dtype=torch.int64, device="cpu")
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise FaultError(f"indices and masks must be integers, not {array.dtype}")
    return torch.from_numpy(array.astype(np.int64).ravel())
