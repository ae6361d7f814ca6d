"""What a weight trial costs: inject, forward and restore against a bare forward."""

from __future__ import annotations

import pytest
import torch

from benchmarks.resnet20 import resnet20
from faultsim import FaultSpace, inject

PAIRS = 300


@pytest.mark.parametrize("flips", [1, 16])
@pytest.mark.parametrize("batch", [1, 32])
def test_weight_trial(against, batch, flips):
    torch.manual_seed(0)
    model, images = resnet20(), torch.rand(batch, 3, 32, 32)
    # Low mantissa bits: a flip that makes numbers subnormal would slow the forward itself.
    faults = FaultSpace(model, bits="0-3").sample(flips, seed=0)

    def trial() -> None:
        with torch.no_grad(), inject(model, faults):
            model(images)

    def bare() -> None:
        with torch.no_grad():
            model(images)

    against(trial, bare, f"{flips}-flip trial, batch {batch} / bare forward", pairs=PAIRS)
