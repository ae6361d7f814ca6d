"""Corrupting and restoring words against bare random updates of memory."""

from __future__ import annotations

import pytest
import torch

from faultsim import ops
from faultsim.ops._native import native

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int8]


@pytest.mark.parametrize("faults", [10**3, 10**6])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_flip_and_restore(against, dtype, faults):
    tensor = torch.zeros(1 << 24, dtype=dtype)
    index = ops.sample_uniform(tensor.numel(), faults, seed=0)
    # The limit updates as many words of the same size range twice, once for each direction.
    memory = torch.zeros(tensor.nbytes // 4, dtype=torch.int32)
    places = index * (tensor.element_size() / 4)
    places = places.to(torch.int64).clamp_(max=len(memory) - 1)

    def trial() -> None:
        ops.restore_(tensor, index, ops.flip_(tensor, index, 4))

    def limit() -> None:
        for _ in range(2):
            native().update_limit(memory.data_ptr(), places.data_ptr(), faults)

    against(trial, limit, "flip and restore / two random updates")


def test_one_flip(against):
    tensor = torch.zeros(1 << 20)
    words, index, mask = tensor.view(torch.int32), torch.tensor([12345]), torch.tensor([1 << 20])

    def by_hand() -> None:
        words[12345] ^= 1 << 20

    against(
        lambda: ops.flip_(tensor, index, mask), by_hand, "flip_ / v[i] ^= m in torch", pairs=300
    )
