"""Faults inside the recurrence, against the recurrence written as a loop over scalars."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies

from faultsim.errors import FaultError
from faultsim.ops import SelectiveScan, StateFault, selective_scan
from faultsim.ops.operators import OPS
from faultsim.ops.scan_reference import (
    hidden_states,
    selective_scan_reference,
    state_gradients,
)
from faultsim.ops.state_fault import packed

BATCH, DIM, STATES, LENGTH, GROUPS = 2, 6, 3, 70, 2  # the length is more than a tile


def inputs(dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)

    matrices = [normal(BATCH, GROUPS, STATES, LENGTH) for _ in range(2)]
    rows = [normal(BATCH, DIM, LENGTH), normal(BATCH, DIM, LENGTH) - 1]
    return [*rows, -normal(DIM, STATES).abs(), *matrices, normal(DIM), normal(DIM)]


def oracle(tensors, faults, dtype=np.float32):
    """The recurrence, each state one scalar, struck after the update and before it is read."""
    u, delta, A, B, C, D, bias = (t.cpu().numpy() for t in tensors)
    word = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    step = np.logaddexp(0, delta + bias[:, None]).astype(dtype)
    y = np.zeros_like(u)
    for b, d in np.ndindex(BATCH, DIM):
        group = d // (DIM // GROUPS)
        h = np.zeros(STATES, dtype)
        for t in range(LENGTH):
            h = np.exp(step[b, d, t] * A[d]) * h + step[b, d, t] * u[b, d, t] * B[b, group, :, t]
            for fault in faults:
                if (fault.channel, fault.step) == (d, t) and fault.batch in (None, b):
                    bits, mask = h[fault.state : fault.state + 1].view(word), word(fault.mask)
                    bits[0] = {
                        "flip": bits[0] ^ mask,
                        "stuck-at-0": bits[0] & ~mask,
                        "stuck-at-1": bits[0] | mask,
                        "replace": mask,
                    }[fault.op]
            y[b, d, t] = h @ C[b, group, :, t] + D[d] * u[b, d, t]
    return y


# The top exponent bit of a state below 2 makes numbers that overflow further on: left out.
state_faults = strategies.builds(
    StateFault,
    channel=strategies.integers(0, DIM - 1),
    state=strategies.integers(0, STATES - 1),
    step=strategies.integers(0, LENGTH - 1),
    mask=strategies.integers(0, 2**26 - 1).map(lambda mask: mask | 1 << 31),
    op=strategies.sampled_from(["flip", "stuck-at-0", "stuck-at-1"]),
    batch=strategies.one_of(strategies.none(), strategies.integers(0, BATCH - 1)),
)


@given(faults=strategies.lists(state_faults, min_size=1, max_size=4))
def test_faults_strike_and_propagate_as_in_the_recurrence(device, faults):
    tensors = inputs(device=device)
    struck = selective_scan(*tensors, True, state_faults=faults)
    np.testing.assert_allclose(struck.cpu(), oracle(tensors, faults), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("op", OPS[:4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_operator_and_width(op, dtype, device):
    width = 32 if dtype == torch.float32 else 64
    half = 0x3F000000 if width == 32 else 0x3FE0000000000000
    fault = StateFault(4, 1, 33, half if op == "replace" else 1 << (width - 1), op, batch=1)
    tensors = inputs(dtype, device)
    struck = selective_scan(*tensors, True, state_faults=[fault])
    kind = np.float32 if width == 32 else np.float64
    np.testing.assert_allclose(struck.cpu(), oracle(tensors, [fault], kind), rtol=1e-4, atol=1e-4)


def test_only_what_follows_the_fault_changes(device):
    tensors = inputs(device=device)
    golden = selective_scan(*tensors, True)
    fault = StateFault(channel=2, state=0, step=40, mask=1 << 31, batch=1)
    changed = selective_scan(*tensors, True, state_faults=[fault]) != golden
    assert changed[1, 2, 40]
    changed[1, 2, 40:] = False
    assert not changed.any()


def test_a_fault_that_changes_no_bit_changes_no_output(device):
    """Struck tiles run other code; that code must round as the fault-free one does."""
    tensors = inputs(device=device)
    golden, grads = with_gradients(tensors, [])
    nothing = [StateFault(d, n, t, 0) for d in range(DIM) for n in range(2) for t in (0, 17, 69)]
    struck, others = with_gradients(tensors, nothing)
    assert torch.equal(struck, golden)
    assert all(torch.equal(one, other) for one, other in zip(grads, others, strict=True))


def with_gradients(tensors, faults, scan=None):
    leaves = [t.clone().requires_grad_() for t in tensors]
    y = selective_scan(*leaves, True, state_faults=faults) if scan is None else scan(*leaves)
    return y, torch.autograd.grad(y.sin().sum(), leaves)


def test_gradients_pass_a_fault_as_a_constant(device):
    """Sign flips of a word, whose slope autograd sees as 1, against the plain recurrence."""
    tensors = inputs(torch.float64, device)
    faults = [StateFault(1, 2, 5, 1 << 63), StateFault(5, 0, 66, 1 << 52, batch=0)]
    table = packed(faults, (BATCH, DIM, STATES, LENGTH), torch.float64)
    y, grads = with_gradients(tensors, faults)
    expected, truth = with_gradients(
        tensors, faults, lambda *leaves: selective_scan_reference(*leaves, True, table)
    )
    torch.testing.assert_close(y, expected)
    for grad, true in zip(grads, truth, strict=True):
        torch.testing.assert_close(grad, true)


def test_state_gradients_are_what_a_small_change_of_a_state_does():
    tensors = inputs(torch.float64)
    u, delta, A, B, C, _, bias = tensors
    states = hidden_states(u, delta, A, B, bias, True)
    y = selective_scan(*tensors, True)
    slopes = state_gradients(y.cos(), delta, A, C, bias, True)
    b, d, n, t = 1, 4, 2, 30
    value = states[t].flatten(1, 2)[b, d, n] + 1e-6
    word = int(value.view(torch.int64)) & (2**64 - 1)
    fault = StateFault(d, n, t, word, "replace", batch=b)
    change = selective_scan(*tensors, True, state_faults=[fault]).sin().sum() - y.sin().sum()
    assert change / 1e-6 == pytest.approx(slopes[t].flatten(1, 2)[b, d, n].item(), rel=1e-4)


def test_the_module_is_the_function():
    tensors, fault = inputs(), StateFault(0, 0, 0, 1 << 30)
    scan = SelectiveScan(("left", "right"))
    assert torch.equal(scan(*tensors, True), selective_scan(*tensors, True))
    struck = scan(*tensors, True, state_faults=[fault])
    assert torch.equal(struck, selective_scan(*tensors, True, state_faults=[fault]))
    assert not scan.state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": DIM}, "outside"),
        ({"state": -1}, "outside"),
        ({"step": LENGTH}, "outside"),
        ({"batch": BATCH}, "outside"),
        ({"mask": 1 << 32}, "bits that a word"),
        ({"op": "melt"}, "unknown operator"),
    ],
)
def test_impossible_faults_are_refused(change, message):
    fault = StateFault(0, 0, 0, 1)._replace(**change)
    with pytest.raises(FaultError, match=message):
        selective_scan(*inputs(), True, state_faults=[fault])
