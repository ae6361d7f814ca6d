"""The selective scan in plain torch: for devices without a kernel, and as an oracle of tests."""

from __future__ import annotations

import torch
from torch.nn import functional

from faultsim.dtypes import FORMATS
from faultsim.formats import signed
from faultsim.ops.striking import strike_


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
    y = torch.stack(outputs, dim=-1) if outputs else torch.zeros_like(u)
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
    step = _step_sizes(delta, delta_bias, delta_softplus)
    steps, driven = _per_channel(step, B), _per_channel(step * u, B)
    into = B.permute(3, 0, 1, 2).unsqueeze(3)
    rates = _grouped(A, B)
    state, after = steps.new_zeros(*steps.shape[1:4], A.shape[1]), []
    for t in range(u.shape[2]):
        state = torch.exp(steps[t] * rates) * state + driven[t] * into[t]
        if state_faults is not None:
            state = _struck(state, state_faults[state_faults[:, 3] == t])
        after.append(state)
    return after


def state_gradients(
    dy: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    C: torch.Tensor,
    delta_bias: torch.Tensor | None,
    delta_softplus: bool,
) -> list[torch.Tensor]:
    """What a change of each of :func:`hidden_states` adds to the loss, in first order.

    Arguments as :func:`selective_scan_reference`; ``dy`` is the loss's gradient of its result.
    """
    steps = _per_channel(_step_sizes(delta, delta_bias, delta_softplus), C)
    out_of, per_channel = C.permute(3, 0, 1, 2).unsqueeze(3), _per_channel(dy, C)
    rates = _grouped(A, C)
    carried, slopes = torch.zeros_like(per_channel[0] * out_of[0]), []
    for t in reversed(range(dy.shape[2])):
        slopes.append(per_channel[t] * out_of[t] + carried)
        carried = torch.exp(steps[t] * rates) * slopes[-1]
    return slopes[::-1]


def _step_sizes(
    delta: torch.Tensor, delta_bias: torch.Tensor | None, delta_softplus: bool
) -> torch.Tensor:
    step = delta if delta_bias is None else delta + delta_bias[:, None]
    return functional.softplus(step) if delta_softplus else step


def _per_channel(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(batch, dim, length) as (length, batch, group, channel of the group, 1)."""
    (batch, dim, length), groups = rows.shape, matrix.shape[1]
    return rows.permute(2, 0, 1).reshape(length, batch, groups, dim // groups, 1)


def _grouped(A: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(dim, state) as (group, channel of the group, state)."""
    (dim, states), groups = A.shape, matrix.shape[1]
    return A.reshape(groups, dim // groups, states)


def _struck(state: torch.Tensor, faults: torch.Tensor) -> torch.Tensor:
    """A copy with the faults of one step; gradients pass as if they added a constant."""
    if not len(faults):
        return state
    copy = state.clone()
    words = copy.detach().view(FORMATS[state.dtype].word).flatten(1, 2)
    bits = FORMATS[state.dtype].bits
    for batch, channel, n, _, keep, toggle, *effect in faults.tolist():
        toggle = signed(toggle, bits)
        samples = slice(None) if batch < 0 else batch
        word = words[samples, channel, n]
        made = _made(word, state.dtype, effect) & signed(~keep, bits) if effect[0] else toggle
        words[samples, channel, n] = (word & signed(keep, bits)) ^ made
    return copy


def _made(words: torch.Tensor, dtype: torch.dtype, effect: list[int]) -> torch.Tensor:
    """What an operator makes of words."""
    number, operand, random = effect
    made = words.reshape(-1).clone().view(dtype)
    strike_(made, range(made.numel()), number, operand, -1, random)
    return made.view(words.dtype).view(words.shape)
