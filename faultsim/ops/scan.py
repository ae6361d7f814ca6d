"""The selective scan, in plain torch."""

from __future__ import annotations

import torch
from torch.nn import functional


def selective_scan(
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

    Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023: zero-order
    hold for A, Euler for B. float16 and bfloat16 compute in float32, float64 in float64.

    Args:
        u: Input, (batch, dim, length).
        delta: Step sizes, (batch, dim, length).
        A: State matrix, (dim, state).
        B: (batch, groups, state, length); a group serves dim/groups consecutive channels.
        C: As ``B``.
        D: Skip connection, (dim,).
        delta_bias: Added to ``delta``, (dim,).
        delta_softplus: Whether softplus is applied to ``delta`` after the bias.

    Returns:
        (batch, dim, length), of the dtype of ``u``.
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
