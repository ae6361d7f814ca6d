"""Operators of one's own against built-in ones, word for word, and in fault sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import faultsim
from faultsim import ops
from faultsim.ops.words import apply_

GOAL = 2.0
"""The most that an operator of one's own may cost, in built-in flips."""


@faultsim.operator
def flipped(word, operand, random):
    return word ^ operand


@faultsim.value_operator
def scaled(value, operand, random):
    return value * operand


def places(population: int, n: int, order: str) -> torch.Tensor:
    index = ops.sample_uniform(population, n, seed=0)
    if order == "sorted":
        return index.sort().values
    return index[torch.randperm(n, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("order", ["random", "sorted"])
@pytest.mark.parametrize("faults", [10**3, 10**4, 10**5, 10**6, 10**7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8], ids=str)
def test_ones_own_flip(against, one_thread, dtype, faults, order):
    tensor = torch.zeros(1 << 24, dtype=dtype)
    index = places(tensor.numel(), faults, order)
    against(
        lambda: apply_(tensor, index, flipped, 4),
        lambda: apply_(tensor, index, "flip", 4),
        "an operator of one's own / the built-in flip",
        goal=GOAL,
    )


@pytest.mark.parametrize("order", ["random", "sorted"])
@pytest.mark.parametrize("faults", [10**3, 10**5, 10**6])
def test_ones_own_scale(against, one_thread, faults, order):
    tensor = torch.ones(1 << 24)
    index = places(tensor.numel(), faults, order)
    against(
        lambda: apply_(tensor, index, scaled, -1.0),
        lambda: apply_(tensor, index, "scale", -1.0),
        "a value operator of one's own / the built-in scale",
        goal=GOAL,
    )


@pytest.mark.parametrize("faults", [10**3, 10**5, 10**6])
def test_a_fault_set_of_ones_own(against, one_thread, faults):
    """Struck and restored, as a trial does."""
    tensor = torch.zeros(1 << 24)
    index = places(tensor.numel(), faults, "random").numpy()
    flips = np.zeros((8, faults), dtype=np.int64)
    flips[1], flips[2] = index, 4
    own = flips.copy()
    own[2], own[3], own[4] = -1, flipped.number, 4
    patches = [ops.Patch([tensor], table) for table in (own, flips)]

    def trial(patch: ops.Patch) -> None:
        patch.strike()
        patch.restore()

    against(
        lambda: trial(patches[0]),
        lambda: trial(patches[1]),
        "a set of one's own operator / of flips",
        goal=GOAL,
    )
