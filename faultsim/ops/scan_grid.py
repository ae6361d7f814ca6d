"""The native scan in blocks of threads, for CUDA.

Tensors on the CPU run the same bodies one thread after the other: slow, but what the device
computes can be seen without one, bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch

from faultsim.ops._native import native

Tensor = torch.Tensor


def runs_on_device(states: int) -> bool:
    """Whether this build has the kernel, and the kernel room for so many states."""
    return bool(native().with_cuda) and states <= native().ScanGrid.most_states


def forward(
    inputs: list[Tensor | None],
    softplus: bool,
    state_faults: Tensor | None,
    *,
    last_first: bool = False,
) -> Tensor:
    """The result of the scan, in the dtype of u.

    Asynchronous on the current stream; a CUDA graph can hold it where ``state_faults`` are on the
    device already.

    Args:
        inputs: u, delta, A, B, C, D and bias, contiguous; float32 or float64, or u, delta, B and C
            in bfloat16 and the rest in float32.
        softplus: Whether softplus is applied to delta.
        state_faults: As :func:`faultsim.ops.state_fault.packed`, on any device.
        last_first: On the CPU, the order in which threads take their turns.
    """
    u, *_ = inputs
    assert u is not None
    y = torch.empty_like(u)
    faults = _on(u.device, state_faults)
    grid = _grid(inputs, softplus, faults)
    if u.is_cuda:
        with torch.cuda.device(u.device):
            grid.forward_cuda(y.data_ptr(), _stream(u.device))
    else:
        grid.forward(y.data_ptr(), last_first)
    return y


def backward(
    dy: Tensor,
    inputs: list[Tensor | None],
    softplus: bool,
    state_faults: Tensor | None,
    grads: list[Tensor],
    *,
    last_first: bool = False,
) -> None:
    """Fills the gradients of the seven inputs, each in the dtype of its input.

    Args:
        dy: Contiguous, in the dtype of u.
        inputs: As :func:`forward`, like the rest.
        softplus: Whether softplus is applied to delta.
        state_faults: As they were in the forward pass.
        grads: Contiguous; empty for inputs that are None.
        last_first: On the CPU, the order in which threads take their turns.
    """
    faults = _on(dy.device, state_faults)
    grid = _grid(inputs, softplus, faults)
    scratch = torch.empty(grid.scratch_bytes, dtype=torch.uint8, device=dy.device)
    pointers = (dy.data_ptr(), *(g.data_ptr() if g.numel() else 0 for g in grads))
    if dy.is_cuda:
        with torch.cuda.device(dy.device):
            grid.backward_cuda(pointers, scratch.data_ptr(), _stream(dy.device))
    else:
        grid.backward(pointers, scratch.data_ptr(), last_first)


def _grid(inputs: list[Tensor | None], softplus: bool, faults: Tensor | None) -> Any:
    u, b = inputs[0], inputs[3]
    assert u is not None
    assert b is not None
    shape = (*u.shape[:2], b.shape[1], u.shape[2], b.shape[2])  # batch, dim, groups, length, state
    pointers = tuple(0 if tensor is None else tensor.data_ptr() for tensor in inputs)
    table = (0, 0) if faults is None else (faults.data_ptr(), len(faults))
    is_double, is_narrow = u.dtype == torch.float64, u.dtype == torch.bfloat16
    return native().ScanGrid(is_double, is_narrow, shape, pointers, softplus, *table)


def _on(device: torch.device, faults: Tensor | None) -> Tensor | None:
    """In stream order: pageable memory is read before the copy returns."""
    return None if faults is None else faults.to(device, non_blocking=True).contiguous()


def _stream(device: torch.device) -> int:
    return int(torch.cuda.current_stream(device).cuda_stream)
