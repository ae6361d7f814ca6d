"""The selective scan on a CUDA device, beside mamba-ssm's kernel and the speed of a copy."""

from __future__ import annotations

import statistics

import pytest
import torch

from faultsim.ops import selective_scan
from faultsim.ops.scan_grid import runs_on_device

STATE, GROUPS = 16, 4
SHAPES = [(32, 384, 3136), (32, 768, 784), (32, 1536, 196), (32, 3072, 49), (1, 384, 3136)]
"""Batch, dim, length: the stages of MedMamba-T at 224 pixels, and the first for one image."""

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not runs_on_device(STATE), reason="built without CUDA"),
]


def milliseconds(call, repeats=20):
    """Median time on the device, after a call to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def inputs(shape, dtype):
    batch, dim, length = shape
    torch.manual_seed(0)
    options = {"device": "cuda", "dtype": dtype}
    u, delta = torch.randn(shape, **options), torch.randn(shape, **options) * 0.5 - 3
    matrices = [torch.randn(batch, GROUPS, STATE, length, **options) for _ in range(2)]
    rates = -torch.arange(1.0, STATE + 1, device="cuda").repeat(dim, 1)
    bias = torch.randn(dim, device="cuda") * 0.1
    tensors = [u, delta, rates, *matrices, torch.ones(dim, device="cuda"), bias]
    return [tensor.requires_grad_() for tensor in tensors]


def ours(*tensors):
    return selective_scan(*tensors, delta_softplus=True)


def mamba_ssm():
    """Its scan with the arguments of ours, or None; a broken build may raise whatever it likes."""
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except Exception:
        return None

    def scan(u, delta, A, B, C, D, bias):
        return selective_scan_fn(u, delta, A, B, C, D, delta_bias=bias, delta_softplus=True)

    return scan


def forward(scan, tensors):
    with torch.no_grad():
        return scan(*tensors)


def backward(scan, tensors):
    """A call of the backward pass alone."""
    y = scan(*tensors)
    dy = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, tensors, dy, retain_graph=True)


def bytes_moved(tensors, way):
    """What must be read and written once; backward also reads dy and writes the gradients."""
    u, inputs = tensors[0].nbytes, sum(tensor.nbytes for tensor in tensors)
    return inputs + u if way == "forward" else 2 * inputs + u


def copy_rate():
    """Bytes a copy reads and writes in a millisecond."""
    source = torch.empty(1 << 28, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / milliseconds(lambda: target.copy_(source))


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scan(benchmark, shape, dtype, way):
    tensors = inputs(shape, dtype)

    def calls(scan):
        return backward(scan, tensors) if way == "backward" else lambda: forward(scan, tensors)

    call, peer = calls(ours), mamba_ssm()
    time, moved = milliseconds(call), bytes_moved(tensors, way)
    share = moved / time / copy_rate()
    device = torch.cuda.get_device_name()
    benchmark.extra_info[device] = f"{time:.3f} ms, {share:.0%} of a copy's bandwidth"
    if peer is not None:
        expected = forward(peer, tensors)
        torch.testing.assert_close(forward(ours, tensors), expected, rtol=2e-2, atol=2e-2)
        benchmark.extra_info["faultsim / mamba-ssm"] = f"{time / milliseconds(calls(peer)):.3f}"
    benchmark.pedantic(lambda: (call(), torch.cuda.synchronize()), rounds=5, warmup_rounds=1)
