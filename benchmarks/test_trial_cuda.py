"""Trials of a campaign on a CUDA device, as graphs, beside a loop of eager forward passes."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch

from faultsim import FaultSpace
from faultsim.data import Dataset, Split
from faultsim.data.workload import ImageWorkload
from faultsim.devices import reproducibly
from faultsim.models.medmamba import medmamba
from faultsim.ops.grid import check_device
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial

TRIALS, PAIRS, BATCH = 200, 100, 32

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def bench() -> Experiment:
    check_device(torch.device("cuda"))
    torch.manual_seed(0)
    images = Split(torch.rand(BATCH, 3, 224, 224), torch.arange(BATCH) % 7)
    data = Dataset("noise", 7, images, images, images)
    model = medmamba("t", num_classes=7, in_channels=3).eval()
    return Experiment(ImageWorkload(model, data), batch_size=BATCH, device="cuda")


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_trial_against_an_eager_forward_pass(against, benchmark, bench, target):
    """The limit is a third: three trials in the time of one pass, faults and judgement included."""
    images = bench.first_inputs()
    space = FaultSpace(bench.workload.model, target, inputs=images)
    trials = [Trial(space.sample(1, seed=0, trial=trial), {}) for trial in range(TRIALS)]
    turn = cycle(trials)

    def trial() -> None:
        bench.run(next(turn))

    def forward() -> None:
        with torch.no_grad():
            bench.workload.model(images)
        torch.cuda.synchronize()

    with reproducibly(0):
        for each in trials:  # captures every graph
            bench.run(each)
        benchmark.extra_info["device"] = torch.cuda.get_device_name()
        benchmark.extra_info["as graphs"] = str("graphs" not in bench.lost)
        name = f"MedMamba-T, 224 px, batch {BATCH}, one flip in {target}: trial / eager forward"
        against(trial, forward, name, pairs=PAIRS)
