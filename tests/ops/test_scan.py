"""The selective scan against the recurrence, written as a loop over scalars."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faultsim.ops import selective_scan


def recurrence(u, delta, A, B, C, D, bias, softplus):
    u, delta, A, B, C, D, bias = (t.double().numpy() for t in (u, delta, A, B, C, D, bias))
    batch, dim, length = u.shape
    y = np.zeros_like(u)
    per_group = dim // B.shape[1]
    for b in range(batch):
        for d in range(dim):
            h = np.zeros(A.shape[1])
            for t in range(length):
                step = delta[b, d, t] + bias[d]
                step = np.log1p(np.exp(step)) if softplus else step
                h = np.exp(step * A[d]) * h + step * B[b, d // per_group, :, t] * u[b, d, t]
                y[b, d, t] = h @ C[b, d // per_group, :, t] + D[d] * u[b, d, t]
    return y


@pytest.mark.parametrize("length", [1, 5, 33])
@pytest.mark.parametrize("softplus", [True, False])
def test_scan_is_the_recurrence(length, softplus):
    torch.manual_seed(0)
    u, delta = torch.randn(2, 6, length), torch.rand(2, 6, length)
    A, D, bias = -torch.rand(6, 4), torch.randn(6), torch.randn(6) * 0.1
    B, C = torch.randn(2, 3, 4, length), torch.randn(2, 3, 4, length)
    y = selective_scan(u, delta, A, B, C, D, bias, softplus)
    expected = recurrence(u, delta, A, B, C, D, bias, softplus)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_gradients():
    torch.manual_seed(0)
    shapes = [(1, 4, 3), (1, 4, 3), (4, 2), (1, 2, 2, 3), (1, 2, 2, 3), (4,), (4,)]
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(lambda *a: selective_scan(*a, delta_softplus=True), inputs)


def test_half_precision_computes_in_float32():
    torch.manual_seed(0)
    u, delta = torch.randn(1, 2, 9), torch.rand(1, 2, 9)
    A, B, C = -torch.rand(2, 3), torch.randn(1, 1, 3, 9), torch.randn(1, 1, 3, 9)
    half = [t.half() for t in (u, delta, A, B, C)]
    y = selective_scan(*half)
    assert y.dtype == torch.float16
    assert torch.equal(y, selective_scan(*(t.float() for t in half)).half())
