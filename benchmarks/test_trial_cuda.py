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
from faultsim.run.replay.captured import PATIENCE
from faultsim.run.runner import Runner
from faultsim.run.trial import Trial

TRIALS, BATCH = 60, 32
ROUND, PAIRS = 20, 10  # trials beside as many passes, and how often

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def bench() -> Experiment:
    check_device(torch.device("cuda"))
    torch.manual_seed(0)
    images = Split(torch.rand(BATCH, 3, 224, 224), torch.arange(BATCH) % 7)
    data = Dataset("noise", 7, images, images, images)
    model = medmamba("t", num_classes=7, in_channels=3).eval()
    return Experiment(ImageWorkload(model, data), batch_size=BATCH, device="cuda")


def test_a_whole_pass_as_a_graph_against_an_eager_one(on_device, bench):
    """What a trial costs at least that strikes in the first layer and is not judged."""
    model = bench.workload.model.cuda()
    with reproducibly(0), torch.no_grad():
        images, graph = bench.first_inputs().cuda(), torch.cuda.CUDAGraph()
        for _ in range(3):
            model(images)
        with torch.cuda.graph(graph):
            model(images)
        on_device(graph.replay, lambda: model(images), "whole pass as a graph / eager", pairs=PAIRS)


@pytest.mark.parametrize("judged", [True, False], ids=["judged", "outputs alone"])
@pytest.mark.parametrize("target", ["weights", "activations"])
def test_trials_against_eager_forward_passes(against, benchmark, bench, target, judged):
    """The limit is a third: three trials in the time of one pass, faults and judgement included."""
    model, place = bench.workload.model, torch.device("cuda", 0)
    with reproducibly(0):  # the golden run too, or no graph would repeat it
        images, runner = bench.first_inputs(), Runner(bench.workload, bench.golden("test"), place)
        space = FaultSpace(model, target, inputs=images)
        trials = [Trial(space.sample(1, seed=0, trial=trial), {}) for trial in range(TRIALS)]
        turn = cycle(trials)

        def run(trial: Trial) -> object:
            return bench.run(trial) if judged else runner.outputs(trial.faults)

        def round_of_trials() -> None:
            for _ in range(ROUND):
                run(next(turn))

        def passes() -> None:
            for _ in range(ROUND):
                with torch.no_grad():
                    model(images)
                torch.cuda.synchronize()

        for each in trials * PATIENCE:  # captures every graph
            bench.run(each) if judged else runner.outputs(each.faults)
        benchmark.extra_info["device"] = torch.cuda.get_device_name()
        benchmark.extra_info["as graphs"] = str(runner.graphs is not None and runner.graphs.works)
        name = f"MedMamba-T, 224 px, batch {BATCH}, one flip in {target}: trial / eager forward"
        against(round_of_trials, passes, name, pairs=PAIRS, goal=1 / 3)
