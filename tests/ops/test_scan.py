"""The selective scan against the recurrence, written as a loop over scalars."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from faultsim.errors import FaultError
from faultsim.ops import selective_scan
from faultsim.ops.scan_reference import selective_scan_reference

torch.manual_seed(0)


def inputs(batch=2, dim=6, length=33, states=4, groups=2, dtype=torch.float32, seed=0):
    """u, delta, A, B, C, D and bias as MedMamba has them; step sizes from tiny to above 20."""
    torch.manual_seed(seed)
    rows = (batch, dim, length)
    matrices = [torch.randn(batch, groups, states, length) for _ in range(2)]
    u, delta = torch.randn(rows), torch.randn(rows) * 4 - 3
    tensors = [u, delta, -torch.rand(dim, states) * 8, *matrices, torch.randn(dim), torch.rand(dim)]
    return [tensor.to(dtype) for tensor in tensors]


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


def relative(y, expected):
    error, scale = (y.double() - expected).abs().max(), expected.abs().max()
    return float((error / scale.clamp(min=1e-30)).detach())


@pytest.mark.parametrize("length", [1, 5, 33])
@pytest.mark.parametrize("softplus", [True, False])
def test_scan_is_the_recurrence(length, softplus, device):
    u, delta, *rest = inputs(length=length)
    delta = delta if softplus else delta.abs() * 0.1
    y = selective_scan(*(t.to(device) for t in (u, delta, *rest)), softplus).cpu()
    np.testing.assert_allclose(y, recurrence(u, delta, *rest, softplus), rtol=1e-4, atol=1e-5)


SHAPES = [  # batch, dim, length, states, groups: odd, tiny, one channel more or less than a vector
    (1, 1, 1, 1, 1),
    (3, 10, 67, 1, 2),
    (1, 17, 130, 5, 1),
    (2, 15, 64, 64, 1),
    (2, 36, 65, 16, 2),
    (1, 288, 31, 16, 4),
]


def gradients(scan, tensors):
    leaves = [t.clone().requires_grad_() for t in tensors]
    y = scan(*leaves, True)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=y.device).view(y.shape)
    return y, torch.autograd.grad((y * weights).sum(), leaves)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_forward_and_gradients_agree_with_autograd_in_double(shape, dtype, error, device):
    tensors = [t.to(device) for t in inputs(*shape, dtype=dtype)]
    y, grads = gradients(selective_scan, tensors)
    expected, truth = gradients(selective_scan_reference, [t.double() for t in tensors])
    assert relative(y, expected) < error
    for name, grad, true in zip(("u", "delta", *"ABCD", "bias"), grads, truth, strict=True):
        assert grad.dtype == dtype
        assert relative(grad, true) < error, name


@pytest.mark.parametrize("shape", [(0, 6, 5, 4, 2), (2, 6, 0, 4, 2), (2, 40, 70, 0, 2)], ids=str)
def test_nothing_to_scan(shape, device):
    tensors = [t.to(device) for t in inputs(*shape)]
    y, (du, *grads) = gradients(selective_scan, tensors)
    skipped = tensors[0] * tensors[5][:, None]
    torch.testing.assert_close(y, skipped)  # D · u is all that is left
    weights = torch.linspace(-1, 1, y.numel(), device=device).view(y.shape)
    torch.testing.assert_close(du, weights * tensors[5][:, None])
    torch.testing.assert_close(grads[4], (weights * tensors[0]).sum(dim=(0, 2)))
    assert all((grad == 0).all() for grad in (*grads[:4], grads[5]))


def test_awkward_step_sizes(device):
    """No decay, full decay, steps above the linear limit, and steps that overflow exp."""
    u, _, A, B, C, D, bias = (t.to(device) for t in inputs(1, 6, 8, 4, 1))
    sizes = [-200.0, -30.0, -1e-6, 19.999, 20.001, 1000.0, 0.0, 5.0]
    delta = torch.tensor(sizes, device=device).expand(1, 6, 8)
    bias = torch.zeros_like(bias)
    A = A * torch.tensor([0.0, 1e-6, 1.0, 40.0], device=device)
    y, grads = gradients(selective_scan, [u, delta, A, B, C, D, bias])
    double = [t.double() for t in (u, delta, A, B, C, D, bias)]
    expected, truth = gradients(selective_scan_reference, double)
    assert relative(y, expected) < 1e-5
    assert all(relative(g, t) < 1e-5 for g, t in zip(grads, truth, strict=True))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_non_finite_values_go_where_the_recurrence_takes_them(bad, which, device):
    tensors = [t.to(device) for t in inputs(1, 6, 20, 4, 2)]
    tensors[which].view(-1)[3] = bad
    y = selective_scan(*tensors, True)
    expected = selective_scan_reference(*tensors, True)
    assert torch.equal(y.isnan(), expected.isnan())
    assert torch.equal(y.isposinf(), expected.isposinf())
    assert torch.equal(y.isneginf(), expected.isneginf())


def test_the_number_of_threads_changes_no_bit():
    tensors = inputs(3, 40, 100, 16, 4)
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(gradients(selective_scan, tensors))
    torch.set_num_threads(1)
    (one, grads), (other, others) = results
    assert torch.equal(one, other)
    assert all(torch.equal(a, b) for a, b in zip(grads, others, strict=True))


CODE = """
import sys, torch
sys.path.insert(0, {folder!r})
from test_scan import gradients, inputs, relative, selective_scan, selective_scan_reference
tensors = inputs(2, 36, 70, 16, 2)
y, grads = gradients(selective_scan, tensors)
expected, truth = gradients(selective_scan_reference, [t.double() for t in tensors])
print(max(relative(a, b) for a, b in zip([y, *grads], [expected, *truth])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_computes_the_same(isa):
    code = CODE.format(folder=os.path.dirname(__file__))
    environment = os.environ | {"FAULTSIM_ISA": isa}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    if "FAULTSIM_ISA" in run.stderr and "NativeError" in run.stderr:
        pytest.skip(f"this processor has no {isa}")
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 1e-5


def test_gradcheck(device):
    tensors = [t.to(device).requires_grad_() for t in inputs(1, 4, 3, 2, 2, torch.float64)]
    assert torch.autograd.gradcheck(lambda *a: selective_scan(*a, delta_softplus=True), tensors)
    without = [tensors[0], tensors[1].detach().abs().requires_grad_(), *tensors[2:5]]
    assert torch.autograd.gradcheck(lambda *a: selective_scan(*a), without)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32(dtype, device):
    half = [t.to(device) for t in inputs(1, 2, 9, 3, 1, dtype)]
    y = selective_scan(*half)
    assert y.dtype == dtype
    assert torch.equal(y, selective_scan(*(t.float() for t in half)).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_of_half_precision_are_rounded_from_float32(dtype, device):
    half = [t.to(device) for t in inputs(2, 6, 40, 5, 2, dtype)]
    y, grads = gradients(selective_scan, half)
    expected, truth = gradients(selective_scan_reference, [t.double() for t in half])
    for one, other in zip([y, *grads], [expected, *truth], strict=True):
        assert one.dtype == dtype
        assert relative(one, other) < 2 * torch.finfo(dtype).eps


def test_strided_inputs_are_taken(device):
    tensors = [t.to(device) for t in inputs()]
    strided = [t.transpose(0, -1).contiguous().transpose(0, -1) for t in tensors]
    assert torch.equal(selective_scan(*strided, True), selective_scan(*tensors, True))


def test_operator_check(device):
    tensors = [t.to(device).requires_grad_() for t in inputs()]
    with torch.no_grad():
        torch.library.opcheck(torch.ops.faultsim.selective_scan, (*tensors, True, None))
        dy = torch.ones_like(tensors[0])
        backward = torch.ops.faultsim.selective_scan_backward
        torch.library.opcheck(backward, (dy, *tensors, True, None))


def test_compiles_into_one_graph(device):
    tensors = [t.to(device).requires_grad_() for t in inputs()]

    def loss(*tensors):
        return selective_scan(*tensors, True).square().mean()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*tensors), loss(*tensors))
    compiled_grads = torch.autograd.grad(compiled(*tensors), tensors)
    for one, other in zip(
        compiled_grads, torch.autograd.grad(loss(*tensors), tensors), strict=True
    ):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*tensors), loss(*tensors))


def test_function_transforms(device):
    tensors = [t.to(device) for t in inputs(2, 4, 7, 3, 2, torch.float64)]
    every = tuple(range(7))

    def loss(*tensors):
        return selective_scan(*tensors, True).square().sum()

    expected = torch.autograd.grad(loss(*[t.requires_grad_() for t in tensors]), tensors)
    tensors = [t.detach() for t in tensors]
    grads = torch.func.grad(loss, argnums=every)(*tensors)
    _, pull = torch.func.vjp(loss, *tensors)
    pulled = pull(torch.ones_like(tensors[0]).sum() / tensors[0].numel())
    for grad, other, true in zip(grads, pulled, expected, strict=True):
        torch.testing.assert_close(grad, true)
        torch.testing.assert_close(other, true)
    jacobian = torch.func.jacrev(lambda u: selective_scan(u, *tensors[1:], True))(tensors[0])
    y = selective_scan(*tensors, True)
    torch.testing.assert_close(torch.einsum("bdl,bdlxyz->xyz", 2 * y, jacobian), expected[0])


def test_gradients_per_sample(device):
    u, delta, A, B, C, D, bias = (t.to(device) for t in inputs(3, 4, 7, 3, 2, torch.float64))

    def loss(A, u, delta, B, C):
        y = selective_scan(u[None], delta[None], A, B[None], C[None], D, bias, True)
        return y.square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0, 0, 0))
    rows = per_sample(A, u, delta, B, C)
    for i, row in enumerate(rows):
        torch.testing.assert_close(row, torch.func.grad(loss)(A, u[i], delta[i], B[i], C[i]))


def test_forward_mode_and_second_derivatives_are_refused(device):
    tensors = [t.to(device) for t in inputs()]
    with pytest.raises(FaultError, match="no forward-mode"):
        torch.func.jvp(lambda u: selective_scan(u, *tensors[1:]), (tensors[0],), (tensors[0],))
    leaf = tensors[0].requires_grad_()
    (grad,) = torch.autograd.grad(
        selective_scan(leaf, *tensors[1:]).square().sum(), leaf, create_graph=True
    )
    with pytest.raises(FaultError, match="no second derivative"):
        grad.sum().backward()


def test_memory_stays_near_inputs_and_outputs():
    """States of every step, 16 times the input, are not kept."""
    code = """
import re, sys, torch
sys.path.insert(0, {folder!r})
from test_scan import inputs, selective_scan
tensors = [t.requires_grad_() for t in inputs(2, 384, 6000, 16, 4)]
small = [t.requires_grad_() for t in inputs(1, 384, 64, 16, 4)]
selective_scan(*small, True).backward(torch.ones(1, 384, 64))
dy = torch.ones_like(tensors[0])
status = lambda: open("/proc/self/status").read()
memory = lambda key: int(re.search(key + r":\\s+(\\d+)", status())[1]) * 1024
resident = memory("VmRSS")
y = selective_scan(*tensors, True)
y.backward(dy)
given, made = [*tensors, dy], [y, *(t.grad for t in tensors)]
there = sum(t.nbytes for t in given)
print((memory("VmHWM") - resident + there) / (there + sum(t.nbytes for t in made)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code.format(folder=os.path.dirname(__file__))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0.8 < float(run.stdout) < 1.2, run.stdout


def test_results_are_the_same_from_run_to_run(device):
    tensors = [t.to(device) for t in inputs(3, 40, 100, 16, 4)]
    (y, grads), (again, others) = (gradients(selective_scan, tensors) for _ in range(2))
    assert torch.equal(y, again)
    assert all(torch.equal(a, b) for a, b in zip(grads, others, strict=True))


def test_shapes_that_do_not_fit_are_refused():
    u, delta, A, B, C, D, bias = inputs()
    cases = {
        "delta must be": (u, delta[..., :-1], A, B, C),
        "B must be": (u, delta, A, B[:, :, :-1], C),
        "D must be": (u, delta, A, B, C, D[:-1]),
        "delta_bias must be": (u, delta, A, B, C, D, bias[:-1]),
        "u must be": (u[0], delta, A, B, C),
        "shared by 5 groups": (u, delta, A, B[:, :1].expand(2, 5, 4, 33), C),
        "not torch.int64": (u.long(), delta, A, B, C),
        "A must hold floats": (u, delta, A.to(torch.complex64), B, C),
    }
    for message, arguments in cases.items():
        with pytest.raises(FaultError, match=message):
            selective_scan(*arguments)
