"""Trials as graphs: on a CUDA device, and rehearsed on the host, where the work is done again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from faultsim import FaultSet, FaultSpace, inject
from faultsim.data import Dataset, Split
from faultsim.data.workload import ImageWorkload
from faultsim.errors import InjectionError
from faultsim.models.medmamba import medmamba
from faultsim.run.experiment import Experiment
from faultsim.run.replay import CapturedTrials, Prefix, captured, static
from faultsim.run.replay.graph import Graph, capture
from faultsim.run.trial import Trial
from faultsim.workload.outputs import same_bits


class Convolving(nn.Module):
    """Convolutions in place and a skip connection, no two tensors of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm, self.act = nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.act(self.one(images))
        x = self.act(self.norm(self.two(x))) + x
        return self.head(x.mean((2, 3)))


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(captured, "PATIENCE", 1)


@pytest.fixture(params=["convolving", "medmamba"])
def network(request, device) -> nn.Module:
    torch.manual_seed(0)
    small = medmamba("n", num_classes=3, in_channels=1, dims=(4, 8, 16, 32))
    return (small if request.param == "medmamba" else Convolving()).eval().to(device)


@pytest.fixture
def batches(device) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(n, 1, 16, 16, generator=generator).to(device) for n in (4, 4, 2)]


@pytest.fixture
def graphs(network, batches) -> CapturedTrials:
    return graphs_of(network, batches)


def graphs_of(network: nn.Module, batches: list[torch.Tensor]) -> CapturedTrials:
    prefix = Prefix(network, batches[0], sum(map(len, batches)))
    with torch.no_grad():
        for batch in batches:
            prefix.record(batch)
    return CapturedTrials(network, prefix, batches[0].device)


def eager(network: nn.Module, faults: FaultSet, batches: list[torch.Tensor]) -> list[torch.Tensor]:
    injector = inject(network, faults)
    rows = []
    with torch.no_grad(), injector:
        for images in batches:
            rows.append(network(images))
            injector.advance(len(images))
    return rows


def all_same(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(ones) == len(others) and all(map(same_bits, ones, others))


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_outputs_are_those_of_the_whole_model(network, batches, target, bits_of_model):
    space, before = FaultSpace(network, target, inputs=batches[0]), bits_of_model(network.cpu())
    network.to(batches[0].device)
    graphs = graphs_of(network, batches)
    for trial in range(30):
        faults = space.sample(1 + trial % 3, seed=5, trial=trial)
        rows = graphs.run(faults, batches)
        assert rows is not None
        assert all_same(rows, eager(network, faults, batches)), faults
    assert bits_of_model(network.cpu()) == before
    network.to(batches[0].device)


def test_weights_and_activations_are_struck_together(network, batches, graphs):
    spaces = [FaultSpace(network, kind, inputs=batches[0]) for kind in ("weights", "activations")]
    for trial in range(10):
        faults = FaultSet.join([space.sample(2, seed=6, trial=trial) for space in spaces])
        assert all_same(graphs.run(faults, batches), eager(network, faults, batches))


def test_faults_in_single_samples(network, batches, graphs):
    space = FaultSpace(network, "activations", "20-30", inputs=batches[0])
    for trial, sample in enumerate((0, 3, 5, 9)):
        one = space.sample(1, seed=8, trial=trial)
        faults = FaultSet(one.sites, one.site, one.index, one.mask, one.op, sample=sample)
        assert all_same(graphs.run(faults, batches), eager(network, faults, batches))


def test_a_fault_that_never_fires_is_left_to_the_injector(network, batches, graphs):
    one = FaultSpace(network, "activations", inputs=batches[0]).sample(1, seed=8)
    faults = FaultSet(one.sites, one.site, one.index, one.mask, one.op, sample=10)
    assert graphs.run(faults, batches) is None
    with pytest.raises(InjectionError, match="never fired"):
        eager(network, faults, batches)


@pytest.fixture
def captures(monkeypatch) -> list[Graph]:
    """The graphs that are captured meanwhile."""
    made: list[Graph] = []

    def counted(*args) -> Graph:
        made.append(capture(*args))
        return made[-1]

    monkeypatch.setattr("faultsim.run.replay.static.capture", counted)
    return made


def test_nothing_is_captured_twice(network, batches, graphs, captures):
    graphs.run(FaultSpace(network, include="head").sample(1, seed=0), batches)
    before = len(captures)
    again = FaultSpace(network, include="head").sample(2, seed=1)
    assert all_same(graphs.run(again, batches), eager(network, again, batches))
    assert len(captures) == before == 2  # one for each size of batch


def test_graphs_used_longest_ago_are_let_go(network, batches, monkeypatch, captures):
    monkeypatch.setattr(captured, "MOST", 2)
    graphs, batch = graphs_of(network, batches), batches[:1]
    space = FaultSpace(network, "activations", inputs=batches[0])
    layers = [layer.sample(1, seed=0) for layer in space.layers().values()][:3] * 2
    for faults in layers:
        assert all_same(graphs.run(faults, batch), eager(network, faults, batch))
    assert len(captures) == len(layers)  # in turn, no third is held


def test_the_graph_used_last_stays(network, batches, monkeypatch, captures):
    monkeypatch.setattr(captured, "MOST", 3)
    graphs, batch = graphs_of(network, batches), batches[:1]
    space = FaultSpace(network, "activations", inputs=batches[0])
    first, *others = [layer.sample(1, seed=0) for layer in space.layers().values()][:6]
    graphs.run(first, batch)
    for faults in others:
        graphs.run(faults, batch)
        graphs.run(first, batch)
    assert len(captures) == 1 + len(others)


def test_what_does_not_fit_is_left_to_the_injector(network, batches, graphs, monkeypatch):
    space = FaultSpace(network)
    monkeypatch.setattr(captured, "WEIGHT_SLOTS", 3)
    assert graphs.run(space.sample(4, seed=0), batches) is None
    assert graphs.run(space.sample(3, seed=0), batches) is not None
    assert graphs.run(space.sample(1, seed=0), [batches[0][:3]]) is None
    monkeypatch.setattr(static, "OUTPUT_SLOTS", 3)  # words: a fault strikes each of four samples
    layer = FaultSpace(network, "activations", inputs=batches[0], include="head")
    assert graphs.run(layer.sample(1, seed=0), batches) is None
    other = FaultSpace(nn.Linear(3, 3)).sample(1, seed=0)
    assert graphs.run(other, batches) is None


def test_a_batch_that_could_not_be_copied_is_copied_again(network, batches, graphs, monkeypatch):
    faults = FaultSpace(network, include="head").sample(1, seed=0)
    assert all_same(graphs.run(faults, batches[:1]), eager(network, faults, batches[:1]))

    def fail(*_):
        raise RuntimeError("storages of different sizes")

    with monkeypatch.context() as context:
        context.setattr("faultsim.run.replay.values.Kept.take", fail)
        assert graphs.run(faults, batches) is None
    assert all_same(graphs.run(faults, batches), eager(network, faults, batches))


def test_graphs_of_struck_outputs_wait_until_they_pay(network, batches, graphs, monkeypatch):
    monkeypatch.setattr(captured, "PATIENCE", 3)
    layer = FaultSpace(network, "activations", inputs=batches[0], include="head")
    taken = [graphs.run(layer.sample(1, seed=seed), batches[:1]) for seed in range(4)]
    assert [rows is not None for rows in taken] == [False, False, True, True]


def test_weights_that_have_moved_are_left_to_the_injector(network, batches, graphs):
    faults = FaultSpace(network, include="head.weight").sample(1, seed=0)
    assert graphs.run(faults, batches) is not None
    network.head.weight.data = network.head.weight.data.clone()
    assert graphs.run(faults, batches) is None


def test_casts_that_an_autocast_keeps_are_not_captured(network, batches, graphs):
    faults = FaultSpace(network, include="head").sample(1, seed=0)
    with torch.autocast(batches[0].device.type, torch.bfloat16):
        assert graphs.run(faults, batches) is None
    assert graphs.run(faults, batches) is not None


class Odd(nn.Module):
    """Outputs that overlap themselves, and one of as many rows whatever the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.windows, self.prompt = nn.Linear(256, 8), Windows(), Prompt()
        self.head = nn.Linear(18, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.windows(self.first(images.flatten(1))).flatten(1)
        return self.head(x + self.prompt(x).mean(0))


class Windows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unfold(1, 3, 1)


class Prompt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(4, 18))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rows * 2


def test_outputs_of_any_layout_and_length(device, batches):
    torch.manual_seed(0)
    network = Odd().eval().to(device)
    graphs = graphs_of(network, batches)
    space = FaultSpace(network, "activations", inputs=batches[0])
    for layer in space.layers().values():
        for seed in range(4):
            faults = layer.sample(1, seed=seed)
            assert all_same(graphs.run(faults, batches), eager(network, faults, batches)), faults


class Waiting(Convolving):
    """Looks at a value; a graph could not, and a rehearsal that fails stands in for that."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = super().forward(images)
        return out if bool(out.isfinite().all()) else out * 0


def test_models_that_cannot_be_captured_run_on(device, batches, monkeypatch):
    torch.manual_seed(0)
    network = Waiting().eval().to(device)
    graphs = graphs_of(network, batches)
    tries = []

    def fail(*_):
        tries.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    if device.type == "cpu":
        monkeypatch.setattr("faultsim.run.replay.static.capture", fail)
    faults = FaultSpace(network).sample(1, seed=0)
    assert graphs.run(faults, batches) is None
    assert graphs.run(faults, batches) is None
    assert not graphs.works
    assert len(tries) == (1 if device.type == "cpu" else 0)


def test_a_graph_that_does_not_repeat_the_golden_output_is_not_used(network, batches):
    graphs = graphs_of(network, batches)
    with torch.no_grad():
        network.head.bias += 1
    assert graphs.run(FaultSpace(network, include="head").sample(1, seed=0), batches) is None
    assert not graphs.works


class Quiet(TorchDispatchMode):
    """Refuses what a capture would: the host asking for values, or uploading its own."""

    REFUSED = (
        "_local_scalar_dense",
        "nonzero",
        "lift_fresh",
        "is_nonzero",
        "masked_select",
        "item",
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        assert name not in self.REFUSED, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_replay_asks_nothing_of_the_host(network, batches, target, captures):
    graphs = graphs_of(network, batches)
    faults = FaultSpace(network, target, inputs=batches[0]).sample(3, seed=0)
    graphs.run(faults, batches)
    assert captures
    for graph in captures:
        with Quiet():
            graph.replay()


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_outcomes_are_those_without_graphs(network, device, target):
    images = torch.rand(11, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    split = Split(images, torch.arange(11) % 3)
    data = Dataset("pictures", 3, split, split, split)
    both = [
        Experiment(ImageWorkload(network, data), batch_size=4, device=device, replay=replay)
        for replay in (True, False)
    ]
    space = FaultSpace(network, target, "23-30", inputs=both[0].first_inputs())
    for trial in range(12):
        faults = space.sample(1 + trial % 2, seed=2, trial=trial)
        one, other = (experiment.run(Trial(faults, {})) for experiment in both)
        assert str(one) == str(other)  # NaN differs from itself
    assert "graphs" not in both[0].lost
    both[0].check_intact()


def test_an_error_in_a_rehearsal_leaves_the_weights_golden(batches, device, bits_of_model):
    if device.type != "cpu":
        pytest.skip("a graph runs no Python")
    torch.manual_seed(0)
    network = Strict().eval()
    graphs, before = graphs_of(network, batches), bits_of_model(network)
    faults = FaultSpace(network, "weights", [30], include="head.bias").locate([0])
    assert graphs.run(faults, batches) is None
    assert bits_of_model(network) == before
    assert graphs.works


class Strict(Convolving):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = super().forward(images)
        if np.abs(out.numpy()).max() > 1e9:
            raise ValueError("too large")
        return out
