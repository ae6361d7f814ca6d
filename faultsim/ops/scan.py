"""The selective scan, with faults in its hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from faultsim.errors import FaultError
from faultsim.fault import OPS
from faultsim.formats import FORMATS, signed
from faultsim.ops.scan_autograd import ScanFunction
from faultsim.ops.scan_reference import selective_scan_reference

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class StateFault(NamedTuple):
    """A fault in the hidden state of a selective scan.

    It strikes after the update of its step and before that step is read out, and propagates from
    there, as an upset of the register that holds the state would.

    Attributes:
        channel: In 0 … dim − 1.
        state: In 0 … state − 1.
        step: In 0 … length − 1.
        mask: Bits struck; for ``replace`` the new word.
        op: ``flip``, ``stuck-at-0``, ``stuck-at-1`` or ``replace``.
        batch: One sample, or None for all.
    """

    channel: int
    state: int
    step: int
    mask: int
    op: str = "flip"
    batch: int | None = None


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
    hold for A, Euler for B. float64 computes in float64, all else in float32. On the CPU forward
    and backward are native, on ``torch.get_num_threads()`` threads whose number does not change
    the result; the backward pass computes hidden states again instead of storing them. Works under
    autograd, ``torch.func`` (grad, vjp, jacrev, vmap) and ``torch.compile``; there is no forward
    mode and no second derivative. Elsewhere plain torch.

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
        state_faults: Faults in the hidden state, in words of the type that computes. Not
            differentiable. Several on one word compose in their order.

    Returns:
        (batch, dim, length), of the dtype of ``u``.

    Raises:
        FaultError: Shapes or dtypes that do not fit, or a fault outside the state.
    """
    _check(u, delta, A, B, C, D, delta_bias)
    compute = torch.float64 if u.dtype == torch.float64 else torch.float32
    tensors = [t if t is None else t.to(compute) for t in (u, delta, A, B, C, D, delta_bias)]
    if u.device.type != "cpu":
        if state_faults:
            raise FaultError("state faults need the CPU; move the model there")
        return selective_scan_reference(*tensors, delta_softplus).to(u.dtype)
    faults = None if not state_faults else _packed(state_faults, u.shape, A.shape[1], compute)
    y: torch.Tensor = ScanFunction.apply(*tensors, delta_softplus, faults)
    return y.to(u.dtype)


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
        if tensor is not None and tuple(tensor.shape) != shape:
            raise FaultError(f"{name} must be {shape}, not {tuple(tensor.shape)}")
        if tensor is not None and tensor.device != u.device:
            raise FaultError(f"{name} is on {tensor.device}, u on {u.device}")


def _packed(
    faults: Sequence[StateFault], shape: torch.Size, states: int, dtype: torch.dtype
) -> torch.Tensor:
    """(n, 6) int64: batch, channel, state, step, bits kept, bits toggled."""
    rows = []
    every = (1 << FORMATS[dtype].bits) - 1
    for fault in faults:
        batch = -1 if fault.batch is None else fault.batch
        place = (batch, fault.channel, fault.state, fault.step)
        ends = (shape[0], shape[1], states, shape[2])
        starts = (-1, 0, 0, 0)
        if not all(a <= at < end for a, at, end in zip(starts, place, ends, strict=True)):
            raise FaultError(
                f"{fault} lies outside a state of (batch, channel, state, step) {ends}"
            )
        if fault.op not in OPS:
            raise FaultError(f"unknown operator {fault.op!r}: use one of {', '.join(OPS)}")
        if not 0 <= fault.mask <= every:
            raise FaultError(f"mask {fault.mask:#x} has bits that {dtype} lacks")
        keep = {"flip": every, "replace": 0}.get(fault.op, every & ~fault.mask)
        toggle = 0 if fault.op == "stuck-at-0" else fault.mask
        rows.append([*place, signed(keep), signed(toggle)])
    return torch.tensor(rows, dtype=torch.int64)
