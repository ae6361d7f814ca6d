"""What prefix replay saves: a trial from its cut on against one of the whole model."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch

from benchmarks.resnet20 import resnet20
from faultsim import FaultSpace, inject
from faultsim.models.medmamba import medmamba
from faultsim.run.replay import Prefix

PAIRS = 100
MODELS = {
    "resnet20": (resnet20, (3, 32, 32)),
    "medmamba-n": (lambda: medmamba("n", num_classes=10, in_channels=1).eval(), (1, 28, 28)),
}


@pytest.mark.parametrize("target", ["weights", "activations"])
@pytest.mark.parametrize("name", MODELS)
def test_replayed_trial(against, name, target):
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model, images = make(), torch.rand(32, *shape)
    prefix = Prefix(model, images, len(images))
    space = FaultSpace(model, target, bits="0-3", inputs=images)
    faults = [space.sample(1, seed=0, trial=trial) for trial in range(PAIRS)]
    with torch.no_grad():
        prefix.record(images)
    whole, replayed = cycle(faults), cycle(faults)

    def trial() -> None:
        chosen = next(replayed)
        with torch.no_grad(), inject(model, chosen):
            prefix.run(0, images, chosen)

    def reference() -> None:
        with torch.no_grad(), inject(model, next(whole)):
            model(images)

    against(trial, reference, f"{name}, one flip in {target}: replayed / whole", pairs=PAIRS)
