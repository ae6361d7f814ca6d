"""Ranking of one-byte words against a loop over every bit."""

from __future__ import annotations

import math

import pytest
import torch

from faultsim.dtypes import FORMATS
from faultsim.ops.rank_bytes import BYTES, rank_bytes


def loop(weight, grad, k, bits, finite_only, direction):
    fmt, rows = FORMATS[weight.dtype], []
    words = weight.view(torch.uint8).flatten().tolist()
    for index, (word, slope) in enumerate(zip(words, grad.flatten().tolist(), strict=True)):
        for bit in fmt.select(bits):
            if direction and (word >> bit & 1) == (direction == "0to1"):
                continue
            change = float(fmt.value(word ^ 1 << bit)) - float(fmt.value(word))
            if math.isfinite(change):
                gain = slope * change
                rows.append((abs(gain) if fmt.is_float else gain, index, bit))
            elif not finite_only:
                rows.append((math.inf, index, bit))
    return sorted(rows, key=lambda row: (-row[0], row[1], row[2]))[:k]


@pytest.mark.parametrize("direction", [None, "0to1", "1to0"])
@pytest.mark.parametrize("finite_only", [True, False])
@pytest.mark.parametrize("dtype", BYTES, ids=str)
def test_the_best_are_those_of_a_loop(dtype, finite_only, direction):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(0, 256, (7, 9), generator=generator).to(torch.uint8).view(dtype)
    grad = torch.randn(7, 9, generator=generator)
    grad[0] = 0
    for bits in ("all", "3-7"):
        found = rank_bytes(
            weight, grad, 40, bits=bits, finite_only=finite_only, direction=direction
        )
        rows = list(zip(*(column.tolist() for column in found), strict=True))
        assert rows == loop(weight, grad, 40, bits, finite_only, direction)
