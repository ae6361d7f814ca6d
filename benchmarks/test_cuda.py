"""Kernels on a CUDA device against its memory, by CUDA events: reads, copies, random updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faultsim import ops
from faultsim.ops.grid import launch
from faultsim.ops.patch import Patch

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch finds no CUDA device here"
)
CUDA = torch.device("cuda", 0)
WORDS = 1 << 30
K = 100
RANKING = 1 / 0.8  # of the time to read
FLIPS = 1 / 0.7  # of the time of random updates


def read(*tensors: torch.Tensor) -> None:
    total = torch.zeros(1, dtype=torch.int64, device=CUDA)
    for tensor in tensors:
        launch("read_limit", CUDA, tensor.data_ptr(), tensor.nbytes // 8, total.data_ptr())


@pytest.mark.parametrize("words", [1 << 24, WORDS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_ranking_at_read_bandwidth(on_device, dtype, words):
    weight = torch.randn(words, device=CUDA, dtype=dtype) * 0.05
    grad = torch.randn(words, device=CUDA, dtype=dtype) * 1e-3
    moved = weight.nbytes + grad.nbytes
    on_device(
        lambda: ops.rank_bits(weight, grad, K),
        lambda: read(weight, grad),
        "rank / read",
        moved,
        goal=RANKING,
    )


def test_reading_against_copying(on_device):
    """The yardstick itself: a copy moves every byte twice."""
    source = torch.zeros(WORDS, dtype=torch.int32, device=CUDA)
    half, target = source[: WORDS // 2], torch.empty_like(source[: WORDS // 2])
    on_device(lambda: read(source), lambda: target.copy_(half), "read / copy", source.nbytes)


def random_faults(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A tensor of 2^30 float32, and nearly n distinct places in it in random order."""
    torch.manual_seed(0)
    places = torch.randint(WORDS, (n,), device=CUDA).unique()
    order = torch.randperm(len(places), device=CUDA)
    return torch.zeros(WORDS, device=CUDA), places[order]


@pytest.mark.parametrize("faults", [10**6, 10**7])
def test_a_patch_against_random_updates(on_device, faults):
    """Strike and restore; the patch sorted its faults once, when it was made."""
    tensor, places = random_faults(faults)
    faults = len(places)
    table = np.zeros((7, faults), dtype=np.int64)
    table[1], table[2] = places.cpu().numpy(), 1 << 30
    patch = Patch([tensor], table)
    memory = torch.zeros(WORDS, dtype=torch.int32, device=CUDA)

    def trial() -> None:
        patch.strike()
        patch.restore()

    def limit() -> None:
        for _ in range(2):
            launch("update_limit", CUDA, memory.data_ptr(), places.data_ptr(), faults)

    name = "strike and restore / two random updates"
    on_device(trial, limit, name, 2 * 8 * faults, goal=FLIPS)


@pytest.mark.parametrize("faults", [10**6, 10**8])
def test_flips_against_random_updates(on_device, faults):
    """flip_ as it is called, with the sort that makes duplicates exact."""
    tensor, places = random_faults(faults)
    faults, mask = len(places), torch.tensor([1 << 30], device=CUDA)
    memory = torch.zeros(WORDS, dtype=torch.int32, device=CUDA)
    on_device(
        lambda: ops.flip_(tensor, places, mask),
        lambda: launch("update_limit", CUDA, memory.data_ptr(), places.data_ptr(), faults),
        "flip_ / random updates",
        8 * faults,
        goal=FLIPS,
    )


@pytest.mark.parametrize("rate", [1e-6, 1e-3])
def test_bit_errors_against_the_cpu(on_device, rate):
    bits = 32 << 24
    on_device(
        lambda: ops.sample_bit_errors(bits, rate, seed=0, device=CUDA),
        lambda: ops.sample_bit_errors(bits, rate, seed=0),
        "bit errors on the device / on the CPU",
    )
