"""What a device runs, run on the host: the same bits in any order of its threads."""

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
from faultsim.errors import FaultError, InjectionError
from faultsim.ops._native import native
from faultsim.ops.grid import device_flag, rehearsed
from faultsim.ops.memory import native_words
from faultsim.ops.operators import OPS
from faultsim.ops.striking import strike_

CPU = torch.device("cpu")
SHUFFLES = [0, 1, 2]
WORDS = [torch.int8, torch.int16, torch.int32, torch.int64]


def random(n: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randint(0, 256, (n, dtype.itemsize), generator=generator, dtype=torch.uint8)
    return raw.view(dtype).flatten()


def corrupt_on_grid(tensor, op, index, operand, shuffle, mask=None, bits=None):
    """Saved words and flag of the kernel itself, which checks what no host has checked."""
    saved, flag = torch.full_like(index, 77), torch.zeros(1, dtype=torch.int32)
    words, (ascending, order) = native_words(tensor), torch.sort(index, stable=True)
    read = words, index.data_ptr(), len(index), saved.data_ptr(), flag.data_ptr()
    native().read_words_grid(*read, shuffle)
    columns = [(0, 0) if c is None else (c.data_ptr(), 1) for c in (operand, mask, bits)]
    faults = native().Faults(op, ascending.data_ptr(), len(index), *columns)
    places = order.data_ptr(), saved.data_ptr(), flag.data_ptr()
    native().corrupt_words_grid(words, faults, *places, shuffle)
    return saved, int(flag)


def columns_of(op: str, dtype: torch.dtype, n: int) -> dict[str, torch.Tensor]:
    """Random operands, masks and random bits, as columns of faults have them."""
    if op in OPS[:4]:
        return {"operand": random(n, dtype, seed=2).long()}
    numbers = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    shifts = random(n, torch.int8, seed=2).long() % 8
    operand = shifts if op == "byte-shift" else numbers.view(torch.int64)
    mask, bits = random(n, dtype, seed=3).long(), random(n, torch.int64, seed=4)
    return {"operand": operand, "mask": mask, "bits": bits}


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", WORDS, ids=str)
def test_words_do_not_depend_on_the_order_of_threads(dtype, op, shuffle):
    tensor = random(700, dtype).view(20, 35).t()
    expected, before = (tensor.clone(memory_format=torch.preserve_format) for _ in range(2))
    index = torch.randint(0, 700, (2000,), generator=torch.Generator().manual_seed(1))
    columns, number = columns_of(op, dtype, 2000), OPS.index(op)
    saved, flag = corrupt_on_grid(tensor, number, index, shuffle=shuffle, **columns)
    assert flag == 0
    assert torch.equal(saved, strike_(expected, index, number, *columns.values()))
    assert torch.equal(tensor, expected)
    with rehearsed(shuffle):
        ops.restore_(tensor, index, saved)
    assert torch.equal(tensor, before)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_bad_indices_are_skipped_and_noted(shuffle):
    tensor = torch.arange(4)
    index = torch.tensor([1, 4, 1, -1, 3, 2**62, 4])
    saved, flag = corrupt_on_grid(tensor, 3, index, torch.arange(10, 17), shuffle)
    assert (tensor.tolist(), flag) == ([0, 12, 2, 14], 1)
    assert saved.tolist() == [1, 0, 10, 0, 3, 0, 0]


@pytest.mark.parametrize(
    ("operand", "fits"),
    [(255, True), (-128, True), (256, False), (-129, False), (2**63 - 1, False)],
)
def test_wide_masks_are_skipped_and_noted(operand, fits):
    tensor = torch.tensor([3], dtype=torch.int8)
    operands = torch.tensor([1, operand, 8])
    saved, flag = corrupt_on_grid(tensor, 0, torch.zeros(3, dtype=torch.int64), operands, 0)
    assert flag == (0 if fits else 2)
    assert int(tensor) & 255 == 3 ^ 1 ^ 8 ^ (operand & 255 if fits else 0)
    assert saved[:2].tolist() == [3, 2]


def test_the_flag_is_raised_once():
    device_flag(CPU).fill_(3)
    with pytest.raises(FaultError, match="index was outside its tensor and a mask was wider"):
        ops.check_device_flag("cpu")
    ops.check_device_flag("cpu")


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.rank_bits(torch.ones(3), torch.ones(3), 1),
        lambda: ops.sample_bit_errors(100, 0.1, seed=0),
    ],
)
def test_what_waits_for_the_device_reads_the_flag(call):
    with rehearsed(0):
        device_flag(CPU).fill_(1)
        with pytest.raises(FaultError, match="outside its tensor"):
            call()
        call()


@given(
    n=st.integers(1, 20_000),
    k=st.sampled_from([1, 10, 300]),
    room=st.sampled_from([1, 40, 5000]),
    zeros=st.booleans(),
    ones=st.booleans(),
    bits=st.sampled_from([0xFFFFFFFF, 0x7FFFFF, 0xF]),
    scale=st.sampled_from([1, 1e-37]),
    finite_only=st.booleans(),
    offset=st.integers(0, 1),
    seed=st.integers(0, 100),
)
def test_a_ranking_survives_overflows_in_any_order(
    n, k, room, zeros, ones, bits, scale, finite_only, offset, seed
):
    """Buffers that hardly hold the result; ties that fill them; memory that is not aligned.

    Ones become infinite where most other words change most; the products of the scaled gradients
    are subnormal floats.
    """
    generator = torch.Generator().manual_seed(seed)
    weight, grad = (torch.randn(n + offset, generator=generator)[offset:] for _ in range(2))
    grad *= scale
    if ones:
        weight.fill_(1)
    if zeros:
        grad *= torch.rand(n, generator=generator) < 0.001
    job = weight.data_ptr(), grad.data_ptr(), n, 1, bits, finite_only, 0, k
    expected = native().rank_bits(*job, 1)
    capacity = k + room
    size = native().rank_buffer_bytes(k, capacity)
    buffer, flag = torch.empty(size, dtype=torch.uint8), torch.tensor([5], dtype=torch.int32)
    room = buffer.data_ptr(), capacity, flag.data_ptr()
    found, skipped = native().rank_bits_grid(*job, *room, seed)
    assert skipped == 5
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_ranking_of_much_samples_in_units(dtype):
    """So many words and flips that a sample is read as all words are."""
    generator = torch.Generator().manual_seed(0)
    weight, grad = (torch.randn(1 << 23, generator=generator).to(dtype) for _ in range(2))
    expected = ops.rank_bits(weight, grad, 300_000)
    with rehearsed(1):
        found = ops.rank_bits(weight, grad, 300_000)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_limits_visit_every_word_once(shuffle):
    words, total = torch.arange(5 * 2048), torch.zeros(1, dtype=torch.int64)
    native().read_limit_grid(words.data_ptr(), len(words), total.data_ptr(), shuffle)
    assert total == words.sum()
    counts, index = torch.zeros(9, dtype=torch.int32), torch.tensor([3, 8, 0])
    native().update_limit_grid(counts.data_ptr(), index.data_ptr(), 3, shuffle)
    assert counts.nonzero().flatten().tolist() == [0, 3, 8]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device, and it launches")
@pytest.mark.skipif(not native().with_cuda, reason="built without CUDA")
def test_a_launch_without_a_device_is_one_sentence():
    words = native_words(torch.zeros(1))
    with pytest.raises(RuntimeError, match=r"^CUDA: ") as caught:
        native().read_words_cuda(words, 0, 1, 0, 0, 0)
    assert "\n" not in str(caught.value)


def test_a_module_with_cuda_is_imported_without_a_driver():
    code = "from faultsim.ops._native import native; print(native().with_cuda)"
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert made.stdout.strip() == str(native().with_cuda), made.stderr


@pytest.mark.skipif(native().with_cuda, reason="built with CUDA")
def test_cuda_is_refused_where_it_was_not_built():
    with pytest.raises(InjectionError, match="built without CUDA; reinstall it with FAULTSIM_CUDA"):
        ops.sample_bit_errors(100, 0.1, seed=0, device="cuda")


def test_a_flag_first_used_in_inference_mode_serves_outside():
    device_flag.cache_clear()
    with torch.inference_mode():
        device_flag(torch.device("cpu"))
    assert not device_flag(torch.device("cpu")).is_inference()
    device_flag.cache_clear()


def test_a_default_device_changes_nothing_on_the_host():
    with torch.device("meta"):
        assert ops.sample_uniform(100, 5, seed=1).device.type == "cpu"
    tensor = torch.ones(3)
    with torch.device("meta"):
        ops.flip_(tensor, [1], 1 << 31)
    assert tensor.tolist() == [1, -1, 1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize(
    "call", [ops.check_device_flag, lambda d: ops.sample_bit_errors(9, 0.5, seed=0, device=d)]
)
def test_a_device_that_is_not_there_is_one_line(call):
    with pytest.raises(InjectionError, match="CUDA"):
        call("cuda")
