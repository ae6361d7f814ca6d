"""The selective scan, with faults in its hidden state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from faultsim.errors import FaultError
from faultsim.ops import scan_grid
from faultsim.ops.grid import on_grid
from faultsim.ops.operators import FIRST_OWN
from faultsim.ops.scan_autograd import native_scan
from faultsim.ops.scan_reference import selective_scan_reference
from faultsim.ops.state_fault import StateFault, packed

Scan = Callable[..., torch.Tensor]
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def selective_scan(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
    *,
    state_faults: Sequence[StateFault] | None = None,
) -> torch.Tensor:
    """h ← exp(ΔA)·h + ΔB·u and y = ⟨h, C⟩ + D·u along the length, from h = 0.

    Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023: zero-order
    hold for A, Euler for B. float64 computes in float64, all else in float32. Forward and backward
    are native on the CPU, on ``torch.get_num_threads()`` threads whose number does not change the
    result, and on CUDA, where a result is the same from run to run; the backward pass computes
    hidden states again instead of storing them. The two devices round differently: they fuse
    other multiplications with additions and sum states in another order. On CUDA, u, delta, B and
    C that are all bfloat16 are read as such and not converted.

    The project's own kernel is preferred on CUDA because a struck scan must come from the kernel
    of the fault-free one: between two kernels every output differs in rounding, and none would
    count as masked. Where this build has no CUDA, or there are more than 64 states, the kernel of
    mamba-ssm runs if it is installed, the inputs compute in float32 and no state is struck;
    everything else is plain torch.

    Works under autograd, ``torch.func`` (grad, vjp, jacrev, vmap) and ``torch.compile`` (but for
    mamba-ssm's kernel, which knows autograd alone); the native scan has no forward mode and no
    second derivative.

    Args:
        u: Input, (batch, dim, length).
        delta: Step sizes, (batch, dim, length).
        A: State matrix, (dim, state).
        B: (batch, groups, state, length); a group serves dim/groups consecutive channels.
        C: As ``B``.
        D: Skip connection, (dim,).
        delta_bias: Added to ``delta``, (dim,).
        delta_softplus: Whether softplus is applied to ``delta`` after the bias; it is linear
            above 20.
        state_faults: Faults in the hidden state, in words of the type that computes. Several on
            one word compose in their order. Gradients pass them as if they added a constant.

    Returns:
        (batch, dim, length), of the dtype of ``u``.

    Raises:
        FaultError: Shapes or dtypes that do not fit, or a fault outside the state.
    """
    _check(u, delta, A, B, C, D, delta_bias)
    compute = torch.float64 if u.dtype == torch.float64 else torch.float32
    faults = None
    if state_faults:
        faults = packed(state_faults, (*u.shape[:2], A.shape[1], u.shape[2]), compute)
    scan = _scan_for(u.device.type, compute, A.shape[1], faults is not None)
    if faults is not None and scan is native_scan and u.is_cuda:
        _check_operators(faults)
    narrow = all(t.dtype == torch.bfloat16 for t in (u, delta, B, C))
    taken = narrow and scan is native_scan and on_grid(u)
    rows = torch.bfloat16 if taken else compute
    dtypes = (rows, rows, compute, rows, rows, compute, compute)
    tensors = (u, delta, A, B, C, D, delta_bias)
    given = [t if t is None else t.to(kind) for t, kind in zip(tensors, dtypes, strict=True)]
    return scan(*given, delta_softplus, faults).to(u.dtype)


def _check_operators(faults: torch.Tensor) -> None:
    if (faults[:, 6] >= FIRST_OWN).any():
        raise FaultError(
            "an operator of your own cannot strike a hidden state inside a kernel on a CUDA "
            "device: run the model on the CPU"
        )


def _scan_for(device: str, compute: torch.dtype, states: int, struck: bool) -> Scan:
    if device == "cpu" or (device == "cuda" and scan_grid.runs_on_device(states)):
        return native_scan
    if device == "cuda" and compute == torch.float32 and not struck:
        return _mamba_ssm() or selective_scan_reference
    return selective_scan_reference


@cache
def _mamba_ssm() -> Scan | None:
    """The scan of mamba-ssm, or None: it can neither be installed nor imported without CUDA."""
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except Exception:  # whatever a broken build raises, plain torch is there
        return None

    def scan(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any, bias: Any, *options: Any) -> Any:
        softplus, _ = options
        return selective_scan_fn(u, delta, A, B, C, D, delta_bias=bias, delta_softplus=softplus)

    return scan


def _check(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    delta_bias: torch.Tensor | None,
) -> None:
    if u.dtype not in FLOATS:
        raise FaultError(f"the scan computes with floats, not {u.dtype}")
    if u.ndim != 3 or A.ndim != 2 or B.ndim != 4:
        raise FaultError(
            "u must be (batch, dim, length), A (dim, state) and B (batch, groups, state, length), "
            f"not {tuple(u.shape)}, {tuple(A.shape)} and {tuple(B.shape)}"
        )
    (batch, dim, length), groups = u.shape, B.shape[1]
    if groups == 0 or dim % groups:
        raise FaultError(f"{dim} channels cannot be shared by {groups} groups")
    wanted = {
        "delta": (delta, (batch, dim, length)),
        "A": (A, (dim, A.shape[1])),
        "B": (B, (batch, groups, A.shape[1], length)),
        "C": (C, (batch, groups, A.shape[1], length)),
        "D": (D, (dim,)),
        "delta_bias": (delta_bias, (dim,)),
    }
    for name, (tensor, shape) in wanted.items():
        if tensor is None:
            continue
        if tensor.dtype not in FLOATS:
            raise FaultError(f"{name} must hold floats, not {tensor.dtype}")
        if tuple(tensor.shape) != shape:
            raise FaultError(f"{name} must be {shape}, not {tuple(tensor.shape)}")
        if tensor.device != u.device:
            raise FaultError(f"{name} is on {tensor.device}, u on {u.device}")
