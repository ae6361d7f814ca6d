"""Bit-error sampling: the cost follows the number of faults."""

from __future__ import annotations

import pytest
import torch

from faultsim import ops

WEIGHTS = 11_000_000


def test_bit_errors_against_vectorised_torch(against):
    """One draw a word is what people write, and strikes at most one bit of each."""
    bits, rate = 32 * WEIGHTS, 1e-5

    def vectorised() -> torch.Tensor:
        return (torch.rand(WEIGHTS) < 32 * rate).nonzero()

    against(
        lambda: ops.sample_bit_errors(bits, rate, seed=0), vectorised, "bit errors / torch.rand < p"
    )


@pytest.mark.parametrize("faults", [100, 10_000])
def test_cost_follows_the_faults(against, faults):
    small, large = 1 << 28, 1 << 32
    against(
        lambda: ops.sample_bit_errors(large, faults / large, seed=0),
        lambda: ops.sample_bit_errors(small, faults / small, seed=0),
        f"{faults} faults in 2^32 bits / in 2^28",
    )


def test_uniform(against):
    population = 32 * WEIGHTS
    against(
        lambda: ops.sample_uniform(population, 10_000, seed=0),
        lambda: torch.randint(population, (10_000,)),
        "10,000 distinct draws / torch.randint",
        pairs=50,
    )
