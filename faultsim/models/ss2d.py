"""The selective scan over images in four directions (SS2D, from VMamba, arXiv 2401.10166)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from faultsim.ops import SelectiveScan

PARTS = ("rows", "columns", "rows-reversed", "columns-reversed")
DIRECTIONS = len(PARTS)
STEP_MIN, STEP_MAX, STEP_FLOOR = 1e-3, 0.1, 1e-4


class SS2D(nn.Module):
    """Gated four-direction selective scan with the parameter names of the published MedMamba.

    Args:
        d_model: Channels in and out.
        d_state: States a channel.
        expand: Inner channels per channel.
    """

    def __init__(self, d_model: int, d_state: int = 16, expand: int = 2) -> None:
        super().__init__()
        inner, self.d_state = expand * d_model, d_state
        self.dt_rank = math.ceil(d_model / 16)
        self.in_proj = nn.Linear(d_model, 2 * inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        width = self.dt_rank + 2 * d_state
        self.x_proj_weight = nn.Parameter(torch.empty(DIRECTIONS, width, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(DIRECTIONS, inner, self.dt_rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(DIRECTIONS, inner))
        self.A_logs = nn.Parameter(torch.empty(DIRECTIONS * inner, d_state))
        self.Ds = nn.Parameter(torch.ones(DIRECTIONS * inner))
        self.selective_scan = SelectiveScan(PARTS)
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, d_model, bias=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Mamba's initialisation: step sizes log-uniform in [1e-3, 0.1], A = −1 … −state."""
        bound = self.x_proj_weight.shape[-1] ** -0.5
        self.x_proj_weight.uniform_(-bound, bound)
        bound = self.dt_rank**-0.5
        self.dt_projs_weight.uniform_(-bound, bound)
        logs = torch.rand_like(self.dt_projs_bias) * math.log(STEP_MAX / STEP_MIN)
        steps = torch.exp(logs + math.log(STEP_MIN)).clamp(min=STEP_FLOOR)
        self.dt_projs_bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # softplus inverted
        self.A_logs.copy_(torch.log(torch.arange(1.0, self.d_state + 1)).expand_as(self.A_logs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, height, width, d_model) to the same shape."""
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        x = functional.silu(self.conv2d(x.permute(0, 3, 1, 2)))
        y = self.out_norm(self.scan(x))
        out: torch.Tensor = self.out_proj(y * functional.silu(gate))
        return out

    def scan(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inner, height, width) to (batch, height, width, inner), directions summed."""
        batch, inner, height, width = x.shape
        sequences = _unfold(x)
        parts = torch.einsum("bkdl,kcd->bkcl", sequences, self.x_proj_weight)
        low, b, c = torch.split(parts, [self.dt_rank, self.d_state, self.d_state], dim=2)
        delta = torch.einsum("bkrl,kdr->bkdl", low, self.dt_projs_weight)
        y = self.selective_scan(
            sequences.reshape(batch, DIRECTIONS * inner, -1),
            delta.reshape(batch, DIRECTIONS * inner, -1),
            -torch.exp(self.A_logs.to(torch.promote_types(self.A_logs.dtype, torch.float32))),
            b,
            c,
            self.Ds,
            self.dt_projs_bias.view(-1),
            delta_softplus=True,
        )
        return _fold(y.view(batch, DIRECTIONS, inner, -1), height, width)


def _unfold(x: torch.Tensor) -> torch.Tensor:
    """(batch, c, height, width) as four sequences, (batch, 4, c, height · width)."""
    rows, columns = x.flatten(2), x.transpose(2, 3).flatten(2)
    both = torch.stack([rows, columns], dim=1)
    return torch.cat([both, both.flip(-1)], dim=1)


def _fold(y: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The inverse of :func:`_unfold`, directions summed, channels last."""
    forward = y[:, :2] + y[:, 2:].flip(-1)
    shape = y.shape[0], y.shape[2]
    rows = forward[:, 0].reshape(*shape, height, width)
    columns = forward[:, 1].reshape(*shape, width, height).transpose(2, 3)
    return (rows + columns).permute(0, 2, 3, 1)
