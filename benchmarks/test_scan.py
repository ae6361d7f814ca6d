"""The selective scan on MedMamba-T's shapes, beside the recurrence in torch and mambapy's scan."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from faultsim.ops import StateFault, selective_scan

SHAPES = [(8, 384, 256), (4, 384, 3136)]  # batch, dim, length: 64 and 224 pixels
STATE, GROUPS = 16, 4


def inputs(batch: int, dim: int, length: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    matrices = [torch.randn(batch, GROUPS, STATE, length) for _ in range(2)]
    rates = -torch.arange(1.0, STATE + 1).repeat(dim, 1)
    u, delta = torch.randn(batch, dim, length), torch.randn(batch, dim, length) * 0.5 - 3
    tensors = [u, delta, rates, *matrices, torch.ones(dim), torch.randn(dim) * 0.1]
    return [tensor.requires_grad_() for tensor in tensors]


def recurrence(u, delta, A, B, C, D, bias):
    """The formulation that Mamba implementations fall back to: discretise all, then step."""
    step = functional.softplus(delta + bias[:, None])
    B, C = (matrix.repeat_interleave(u.shape[1] // GROUPS, dim=1) for matrix in (B, C))
    decay = torch.exp(torch.einsum("bdl,dn->bdln", step, A))
    driven = torch.einsum("bdl,bdnl,bdl->bdln", step, B, u)
    state, outputs = torch.zeros_like(decay[:, :, 0]), []
    # unbind, because the gradient of indexing fills a tensor of the whole length at each step
    for factor, drive, out in zip(decay.unbind(2), driven.unbind(2), C.unbind(3), strict=True):
        state = factor * state + drive
        outputs.append(torch.einsum("bdn,bdn->bd", state, out))
    return torch.stack(outputs, dim=2) + u * D[:, None]


def parallel(u, delta, A, B, C, D, bias):
    """The same with mambapy's parallel scan."""
    pscan = pytest.importorskip("mambapy.pscan").pscan
    step = functional.softplus(delta + bias[:, None]).transpose(1, 2)
    B, C = (matrix.repeat_interleave(u.shape[1] // GROUPS, dim=1) for matrix in (B, C))
    decay = torch.exp(step[..., None] * A)
    driven = (step * u.transpose(1, 2))[..., None] * B.permute(0, 3, 1, 2)
    states = pscan(decay, driven)
    return torch.einsum("bldn,bdnl->bdl", states, C) + u * D[:, None]


def ours(u, delta, A, B, C, D, bias):
    return selective_scan(u, delta, A, B, C, D, bias, delta_softplus=True)


def forward(scan, tensors):
    with torch.no_grad():
        return scan(*tensors)


def both(scan, tensors):
    return torch.autograd.grad(scan(*tensors).sum(), tensors)


@pytest.mark.parametrize("peer", [recurrence, parallel], ids=lambda peer: peer.__name__)
@pytest.mark.parametrize("way", [forward, both], ids=lambda way: way.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scan(against, shape, way, peer):
    tensors = inputs(*shape)
    torch.testing.assert_close(forward(ours, tensors), forward(peer, tensors), rtol=1e-3, atol=1e-4)
    name = f"faultsim / {peer.__name__}"
    against(lambda: way(ours, tensors), lambda: way(peer, tensors), name, pairs=3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_state_faults(against, shape):
    """A fault in every sample and group, which one tile of steps of some channels must meet."""
    tensors = inputs(*shape)
    faults = [StateFault(channel, 3, shape[2] // 2, 1 << 22) for channel in range(0, shape[1], 96)]

    def struck(*tensors):
        return selective_scan(*tensors, delta_softplus=True, state_faults=faults)

    name = "with 4 state faults / without"
    against(lambda: forward(struck, tensors), lambda: forward(ours, tensors), name)
