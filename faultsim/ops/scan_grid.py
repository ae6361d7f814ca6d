"""The native scan in blocks of threads: for CUDA, and as the host rehearses it."""

from __future__ import annotations

from typing import Any

import torch

from faultsim.errors import FaultError
from faultsim.ops._native import native
from faultsim.ops.grid import on_stream

Tensor = torch.Tensor


def runs_on_device(states: int) -> bool:
    """Whether this build has the kernel, and the kernel room for so many states."""
    most: int = _most_states()
    return states <= most


def _most_states() -> int:
    """Asked once while torch.compile traces, which cannot follow the import."""
    return int(native().ScanGrid.most_states) if native().with_cuda else -1


# All that torch.compiler.assume_constant_result does, but for importing the compiler: two seconds.
_most_states._dynamo_marked_constant = True  # type: ignore[attr-defined]


def forward(inputs: list[Tensor | None], softplus: bool, state_faults: Tensor | None) -> Tensor:
    """The result of the scan, in the dtype of u.

    Asynchronous on the current stream; a CUDA graph can hold it where ``state_faults`` are on the
    device already.

    Args:
        inputs: u, delta, A, B, C, D and bias, contiguous; float32 or float64, or u, delta, B and C
            in bfloat16 and the rest in float32.
        softplus: Whether softplus is applied to delta.
        state_faults: As :func:`faultsim.ops.state_fault.packed`, on any device.
    """
    u, *_ = inputs
    assert u is not None
    y = torch.empty_like(u)
    faults = _on(u.device, state_faults)
    grid = _grid(inputs, softplus, faults)
    run = grid.forward_cuda if u.is_cuda else grid.forward
    on_stream(u.device, lambda stream: run(y.data_ptr(), stream))
    return y


def backward(
    dy: Tensor,
    inputs: list[Tensor | None],
    softplus: bool,
    state_faults: Tensor | None,
    grads: list[Tensor],
) -> None:
    """Fills the gradients of the seven inputs, each in the dtype of its input.

    Args:
        dy: Contiguous, in the dtype of u.
        inputs: As :func:`forward`, like the rest.
        softplus: Whether softplus is applied to delta.
        state_faults: As they were in the forward pass.
        grads: Contiguous; empty for inputs that are None.
    """
    faults = _on(dy.device, state_faults)
    grid = _grid(inputs, softplus, faults)
    scratch = torch.empty(grid.scratch_bytes, dtype=torch.uint8, device=dy.device)
    pointers = (dy.data_ptr(), *(g.data_ptr() if g.numel() else 0 for g in grads))
    run = grid.backward_cuda if dy.is_cuda else grid.backward
    on_stream(dy.device, lambda stream: run(pointers, scratch.data_ptr(), stream))


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
    """In stream order: pageable memory is read before the copy returns.

    Raises:
        FaultError: A CUDA graph captures, and would read the host's memory again at each replay.
    """
    if faults is not None and faults.device != device and torch.cuda.is_current_stream_capturing():
        raise FaultError("a CUDA graph cannot hold state faults given on the host")
    return None if faults is None else faults.to(device, non_blocking=True).contiguous()
