"""The exact ranking against a NumPy formulation that scores every bit."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim import ops
from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError, FormatError
from faultsim.formats import mask_of

WEIGHTS = ["usual", "any word", "ones", "near the largest", "subnormal"]
GRADIENTS = ["usual", "any word", "sparse", "tiny"]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def oracle(weight, grad, k, bits, finite_only, direction):
    fmt = FORMATS[weight.dtype]
    words = weight.view(fmt.word).to(torch.int64)
    before, slope = weight.double().numpy(), grad.double().numpy()
    parts = []
    for bit in fmt.select(bits):
        struck = (words ^ mask_of([bit])).to(fmt.word).view(weight.dtype).double().numpy()
        with np.errstate(all="ignore"):
            score = np.abs(slope * (struck - before))
        score[np.isnan(score)] = 0
        unusual = ~np.isfinite(struck) | ~np.isfinite(before)
        score[unusual] = np.inf
        is_set = (words.numpy() >> bit & 1) == 1
        keep = ~unusual if finite_only else np.ones_like(unusual)
        keep &= {None: True, "0to1": ~is_set, "1to0": is_set}[direction]
        index = np.flatnonzero(keep)
        parts.append((score[index], index, np.full(len(index), bit)))
    score, index, bit = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((bit, index, -score))[:k]
    return score[order], index[order], bit[order]


def weights(kind: str, dtype: torch.dtype, n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    fmt = FORMATS[dtype]
    if kind == "usual":
        return (torch.randn(n, generator=generator) * 0.05).to(dtype)
    if kind == "any word":
        raw = torch.randint(0, 256, (n, fmt.bits // 8), generator=generator, dtype=torch.uint8)
        return raw.view(dtype).flatten()
    if kind == "ones":
        return torch.ones(n, dtype=dtype)
    if kind == "near the largest":
        rare = torch.rand(n, generator=generator) < 0.002
        return weights("usual", dtype, n, seed).masked_fill_(rare, torch.finfo(dtype).max * 0.7)
    return torch.zeros(n, dtype=fmt.word).add(3).view(dtype)  # subnormal


def gradients(kind: str, dtype: torch.dtype, n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    if kind == "any word":
        return weights("any word", dtype, n, seed + 1).nan_to_num(nan=0.0, posinf=torch.inf)
    dense = torch.randn(n, generator=generator) * 1e-3
    if kind == "sparse":
        dense *= torch.rand(n, generator=generator) < 0.02
    if kind == "tiny":  # subnormal in half precision
        dense *= 1e-3
    return dense.to(dtype)


@given(
    dtype=st.sampled_from(DTYPES),
    weight_kind=st.sampled_from(WEIGHTS),
    grad_kind=st.sampled_from(GRADIENTS),
    n=st.integers(1, 6000),
    k=st.sampled_from([1, 7, 100, 4000]),
    bits=st.sampled_from(["all", "mantissa", "exponent", "sign", "3,9-12"]),
    finite_only=st.booleans(),
    direction=st.sampled_from([None, "0to1", "1to0"]),
    seed=st.integers(0, 1000),
)
def test_ranking_is_exact(
    device, dtype, weight_kind, grad_kind, n, k, bits, finite_only, direction, seed
):
    weight, grad = weights(weight_kind, dtype, n, seed), gradients(grad_kind, dtype, n, seed)
    options = {"bits": bits, "finite_only": finite_only, "direction": direction}
    ranked = ops.rank_bits(weight.to(device), grad.to(device), k, **options)
    expected = oracle(weight, grad, k, bits, finite_only, direction)
    for column, truth in zip(ranked, expected, strict=True):
        np.testing.assert_array_equal(column.numpy(), truth)


@pytest.mark.parametrize("bits", ["all", "mantissa", "exponent", "sign", "3,9-12"])
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_more_words_than_a_device_reads_at_once(device, dtype, kind, bits):
    n = 40_000 // dtype.itemsize  # a device reads bytes
    weight, grad = weights(kind, dtype, n, 3), gradients("usual", dtype, n, 3)
    for finite_only, direction in ((True, None), (False, None), (True, "0to1"), (True, "1to0")):
        options = {"bits": bits, "finite_only": finite_only, "direction": direction}
        ranked = ops.rank_bits(weight.to(device), grad.to(device), 50, **options)
        expected = oracle(weight, grad, 50, bits, finite_only, direction)
        for column, truth in zip(ranked, expected, strict=True):
            np.testing.assert_array_equal(column.numpy(), truth)


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_adverse_orders_are_exact_too(device, order):
    weight, grad = (
        weights("usual", torch.float32, 50_000, 0),
        gradients("usual", torch.float32, 50_000, 0),
    )
    by_score = torch.argsort((weight * grad).abs(), descending=order == "descending")
    weight, grad = weight[by_score].contiguous(), grad[by_score].contiguous()
    ranked = ops.rank_bits(weight.to(device), grad.to(device), 50)
    np.testing.assert_array_equal(
        ranked.index.numpy(), oracle(weight, grad, 50, "all", True, None)[1]
    )


def test_threads_do_not_change_the_result():
    weight, grad = (
        weights("usual", torch.float32, 300_000, 1),
        gradients("sparse", torch.float32, 300_000, 1),
    )
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(ops.rank_bits(weight, grad, 5000))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flushing_denormals_does_not_change_the_result(device, dtype):
    """Neither where words are subnormal, nor where scores in double are."""
    weight = weights("subnormal", dtype, 500, 0).to(device)
    grad = gradients("usual", dtype, 500, 0).to(device)
    expected = ops.rank_bits(weight, grad, 20, bits="mantissa")
    torch.set_flush_denormal(True)
    try:
        ranked = ops.rank_bits(weight, grad, 20, bits="mantissa")
    finally:
        torch.set_flush_denormal(False)
    assert all(torch.equal(a, b) for a, b in zip(ranked, expected, strict=True))
    assert ranked.score[0] > 0


RANKING = """
import torch, hashlib; from faultsim import ops
g = torch.Generator().manual_seed(0)
for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
    w, d = (torch.randn(70000, generator=g).to(dtype) for _ in range(2))
    r = ops.rank_bits(w, d, 500)
    print(hashlib.sha256(b''.join(t.numpy().tobytes() for t in r)).hexdigest())
"""


@pytest.mark.slow
def test_every_instruction_set_gives_the_same_ranking():
    def run(name: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "FAULTSIM_ISA": name}
        return subprocess.run(
            [sys.executable, "-c", RANKING], env=env, capture_output=True, text=True
        )

    results = {name: run(name) for name in ("baseline", "avx2", "avx512")}
    here = {n: r for n, r in results.items() if "not available here" not in r.stderr}
    assert "baseline" in here
    for name, result in here.items():
        assert result.returncode == 0, (name, result.stderr)
        assert result.stdout == here["baseline"].stdout, name


@pytest.mark.parametrize("at", [0, 4095, 99_999])
def test_nan_gradients_are_refused_wherever_they_stand(device, at):
    weight, grad = torch.randn(100_000), torch.randn(100_000)
    grad[at:] = torch.nan  # the first position is named
    with pytest.raises(FaultError, match=f"NaN at element {at};"):
        ops.rank_bits(weight.to(device), grad.to(device), 10)


def test_fewer_candidates_than_asked_for(device):
    weight = torch.tensor([1.0, torch.inf], device=device)
    ranked = ops.rank_bits(weight, torch.ones_like(weight), 100, bits="sign")
    assert ranked.score.tolist() == [2.0]
    assert len(ops.rank_bits(weight[:0], weight[:0], 3).score) == 0


def test_a_strided_weight_is_ranked_by_logical_position(device):
    weight, grad = torch.randn(40, 30, device=device).t(), torch.randn(30, 40, device=device)
    ranked = ops.rank_bits(weight, grad, 5)
    flat = ops.rank_bits(weight.contiguous(), grad, 5)
    assert torch.equal(ranked.index, flat.index)


@pytest.mark.parametrize(
    ("weight", "grad", "options", "error"),
    [
        (torch.zeros(3), torch.zeros(4), {}, FaultError),
        (torch.zeros(3), torch.zeros(3).double(), {}, FaultError),
        (torch.zeros(3).int(), torch.zeros(3).int(), {}, FormatError),
        (torch.zeros(3), torch.zeros(3), {"direction": "up"}, FaultError),
        (torch.zeros(3), torch.zeros(3), {"k": 0}, FaultError),
        (torch.zeros(3), torch.zeros(3), {"bits": "32"}, FormatError),
    ],
)
def test_what_cannot_be_ranked_is_refused(weight, grad, options, error):
    with pytest.raises(error):
        ops.rank_bits(weight, grad, **{"k": 1} | options)
