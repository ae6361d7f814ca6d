"""Operators of one's own against the built-in flip, word for word."""

from __future__ import annotations

import pytest
import torch

import faultsim
from faultsim import ops
from faultsim.ops.words import apply_


@faultsim.operator
def flipped(word, operand, random):
    return word ^ operand


@pytest.mark.parametrize("faults", [10**3, 10**6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8], ids=str)
def test_ones_own_flip(against, dtype, faults):
    tensor = torch.zeros(1 << 24, dtype=dtype)
    index = ops.sample_uniform(tensor.numel(), faults, seed=0)
    operand = torch.tensor([4])
    against(
        lambda: apply_(tensor, index, flipped, operand),
        lambda: apply_(tensor, index, "flip", operand),
        "an operator of one's own / the built-in flip",
    )
