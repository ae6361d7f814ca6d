"""The selective scan in plain torch: for devices without a kernel, and as an oracle of tests."""

from __future__ import annotations

import torch
from torch.nn import functional

from faultsim.formats import FORMATS, signed


def selective_scan_reference(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
    state_faults: torch.Tensor | None = None,
) -> torch.Tensor:
    """h ← exp(ΔA)·h + ΔB·u and y = ⟨h, C⟩ + D·u along the length, from h = 0.

    Shapes and source as :func:`faultsim.ops.selective_scan`, which has checked them; all of one
    dtype, in which it computes. ``state_faults`` as :func:`faultsim.ops.state_fault.packed`.
    """
    states = hidden_states(u, delta, A, B, delta_bias, delta_softplus, state_faults)
    batch, dim, _ = u.shape
    out_of = C.permute(3, 0, 1, 2).unsqueeze(3)  # (length, batch, group, 1, state)
    outputs = [(h * c).sum(-1).view(batch, dim) for h, c in zip(states, out_of, strict=True)]
    y = torch.stack(outputs, dim=-1)
    return y if D is None else y + D[:, None] * u


def hidden_states(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    delta_bias: torch.Tensor | None,
    delta_softplus: bool,
    state_faults: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """The state after each step, (batch, groups, dim / groups, state), as it is read out.

    Arguments as :func:`selective_scan_reference`.
    """
    (batch, dim, length), groups, states = u.shape, B.shape[1], A.shape[1]
    step = delta if delta_bias is None else delta + delta_bias[:, None]
    if delta_softplus:
        step = functional.softplus(step)
    # (length, batch, group, channel of the group, 1) against (length, batch, group, 1, state)
    per_channel = (length, batch, groups, dim // groups, 1)
    steps = step.permute(2, 0, 1).reshape(per_channel)
    driven = (step * u).permute(2, 0, 1).reshape(per_channel)
    into = B.permute(3, 0, 1, 2).unsqueeze(3)
    rates = A.reshape(groups, dim // groups, states)
    state, after = u.new_zeros(batch, groups, dim // groups, states), []
    for t in range(length):
        state = torch.exp(steps[t] * rates) * state + driven[t] * into[t]
        if state_faults is not None:
            state = _struck(state, state_faults[state_faults[:, 3] == t])
        after.append(state)
    return after


def _struck(state: torch.Tensor, faults: torch.Tensor) -> torch.Tensor:
    """A copy with the faults of one step; gradients pass as if they added a constant."""
    if not len(faults):
        return state
    copy = state.clone()
    words = copy.detach().view(FORMATS[state.dtype].word).flatten(1, 2)
    bits = FORMATS[state.dtype].bits
    for batch, channel, n, _, keep, toggle in faults.tolist():
        samples = slice(None) if batch < 0 else batch
        kept = words[samples, channel, n] & signed(keep, bits)
        words[samples, channel, n] = kept ^ signed(toggle, bits)
    return copy
