"""The selective scan in plain torch: for devices without a kernel, and as the oracle of tests."""

from __future__ import annotations

import torch
from torch.nn import functional


def selective_scan_reference(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
) -> torch.Tensor:
    """h ← exp(ΔA)·h + ΔB·u and y = ⟨h, C⟩ + D·u along the length, from h = 0.

    Shapes, dtypes and source as :func:`faultsim.ops.selective_scan`.
    """
    compute = torch.float64 if u.dtype == torch.float64 else torch.float32
    batch, dim, length = u.shape
    groups = B.shape[1]
    x, step, state_matrix = (t.to(compute) for t in (u, delta, A))
    if delta_bias is not None:
        step = step + delta_bias.to(compute)[:, None]
    if delta_softplus:
        step = functional.softplus(step)
    # (length, batch, group, channel of the group, 1) against (length, batch, group, 1, state)
    per_channel = (length, batch, groups, dim // groups, 1)
    per_state = (length, batch, groups, 1, A.shape[1])
    steps = step.permute(2, 0, 1).reshape(per_channel)
    driven = (step * x).permute(2, 0, 1).reshape(per_channel)
    into = B.to(compute).permute(3, 0, 1, 2).reshape(per_state)
    out_of = C.to(compute).permute(3, 0, 1, 2).reshape(per_state)
    rates = state_matrix.view(groups, dim // groups, -1)
    state = x.new_zeros(batch, groups, dim // groups, A.shape[1])
    outputs = []
    for t in range(length):
        state = torch.exp(steps[t] * rates) * state + driven[t] * into[t]
        outputs.append((state * out_of[t]).sum(-1).view(batch, dim))
    y = torch.stack(outputs, dim=-1)
    if D is not None:
        y = y + D.to(compute)[:, None] * x
    return y.to(u.dtype)
