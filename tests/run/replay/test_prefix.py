"""Prefix replay gives the bits of the whole model, on models that make it hard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import InjectionError
from faultsim.models.medmamba import medmamba
from faultsim.run.replay import Prefix
from faultsim.run.replay.calls import Calls
from faultsim.run.replay.cuts import possible_cuts
from faultsim.run.replay.forwards import open_modules, other_forwards
from faultsim.workload.outputs import same_bits

Output = torch.Tensor | str


@pytest.fixture(autouse=True)
def cut_everywhere(monkeypatch):
    """Cuts wherever a model can be cut, so that no test hangs on the clock."""

    def choose(calls: Calls, room: float) -> list[int]:
        return possible_cuts(calls)

    monkeypatch.setattr("faultsim.run.replay.prefix.choose_cuts", choose)


def prefix_of(model: nn.Module, *batches: torch.Tensor) -> Prefix:
    prefix = Prefix(model, batches[0], sum(map(len, batches)))
    with torch.no_grad():
        for batch in batches:
            assert same_bits(prefix.record(batch), model(batch))
    return prefix


def agree(model: nn.Module, space: FaultSpace, batches: list[torch.Tensor], trials: int) -> None:
    """Whole model and replay give the same outputs, or errors, under the same faults.

    Replays follow one another, so that what one of them leaves behind would show in the next.
    """
    prefix = prefix_of(model, *batches)
    single = [layer.sample(1, seed=t) for layer in space.layers().values() for t in range(trials)]
    several = [space.sample(2 + t % 2, seed=7, trial=t) for t in range(20)]
    trials = [(f, *batch) for f in single + several for batch in enumerate(batches)]
    whole = [under(model, faults, partial(model, batch)) for faults, _, batch in trials]
    for expected, (faults, number, batch) in zip(whole, trials, strict=True):
        part = under(model, faults, partial(prefix.run, number, batch, faults))
        assert type(expected) is type(part)
        same = expected == part if isinstance(part, str) else same_bits(expected, part)
        assert same, faults


def under(model: nn.Module, faults: FaultSet, run: Callable[[], torch.Tensor]) -> Output:
    """The output under faults, or that one of them never fired."""
    try:
        with torch.no_grad(), inject(model, faults):
            return run()
    except InjectionError as error:
        return str(error)


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_outputs_are_those_of_the_whole_model(network, vectors, target):
    space = FaultSpace(network, target, bits="20-30", inputs=vectors)
    agree(network, space, [vectors, vectors.flip(0) * 2], trials=3)


@pytest.mark.parametrize("target", ["weights", "activations", "states"])
def test_outputs_of_medmamba(target):
    torch.manual_seed(0)
    model = medmamba("n", num_classes=3, in_channels=1).eval()
    images = torch.rand(3, 1, 16, 16)
    agree(model, FaultSpace(model, target, inputs=images), [images], trials=1)


def calls_of(model: nn.Module, run) -> Counter[str]:
    """How often each module runs its own forward."""
    counts: Counter[str] = Counter()
    for name, module in model.named_modules():
        own = type(module).forward

        def counted(self, *args, name=name, own=own):
            counts[name] += 1
            return own(self, *args)

        module.__class__ = type(type(module).__name__, (type(module),), {"forward": counted})
    run()
    return counts


def stack() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(8, 8) for _ in range(5))).eval()


def test_what_ran_before_the_fault_does_not_run(vectors):
    model = stack()
    prefix = prefix_of(model, vectors)
    faults = FaultSpace(model, include="3").sample(1, seed=0)
    counts = calls_of(model, lambda: prefix.run(0, vectors, faults))
    assert counts["3"] == counts["4"] == 1
    assert counts["0"] == counts["1"] == counts["2"] == 0


def test_a_struck_output_needs_no_second_run_of_its_module(vectors):
    model = stack()
    prefix = prefix_of(model, vectors)
    faults = FaultSpace(model, "activations", inputs=vectors, include="3").sample(1, seed=0)

    def run() -> None:
        with inject(model, faults):
            prefix.run(0, vectors, faults)

    assert calls_of(model, run) == {"": 1, "4": 1}


def test_the_earliest_of_several_faults_counts(vectors):
    model = stack()
    prefix = prefix_of(model, vectors)
    faults = FaultSpace(model, bits=[0], include=["1.bias", "4.bias"]).locate(range(16))
    counts = calls_of(model, lambda: prefix.run(0, vectors, faults))
    assert counts == {"": 1, "1": 1, "2": 1, "3": 1, "4": 1}


def test_smaller_batches_run_whole(vectors):
    model = stack()
    prefix = prefix_of(model, vectors)
    faults = FaultSpace(model, include="4").sample(1, seed=0)
    counts = calls_of(model, lambda: prefix.run(0, vectors[:4], faults))
    assert counts["0"] == 1


def test_a_model_is_the_same_after_a_replay(network, vectors, bits_of_model):
    before, attributes = bits_of_model(network), [set(vars(m)) for m in network.modules()]
    prefix = prefix_of(network, vectors)
    faults = FaultSpace(network).sample(1, seed=0)
    prefix.run(0, vectors, faults)
    assert bits_of_model(network) == before
    left = {"left", "scale"}  # by the networks themselves
    after = [set(vars(module)) - left for module in network.modules()]
    assert after == [names - left for names in attributes]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_forwards_come_back_after_an_error(vectors, error):
    model = stack()
    prefix = prefix_of(model, vectors)

    def fail(*_):
        raise error

    handle = model[4].register_forward_pre_hook(fail)
    with pytest.raises(error):
        prefix.run(0, vectors, FaultSpace(model, include="4").sample(1, seed=0))
    handle.remove()
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_forward_of_ones_own_survives(vectors):
    model = stack()
    model[1].forward = lambda x: x * 2
    own = model[1].forward
    prefix_of(model, vectors).run(0, vectors, FaultSpace(model, include="4").sample(1, seed=0))
    assert model[1].forward is own


def test_replicated_models_run_whole(vectors):
    place = "cuda" if torch.cuda.is_available() else "cpu"  # where DataParallel runs
    vectors = vectors.to(place)
    assert prefix_of(nn.DataParallel(stack().to(place)), vectors).cuts == []
    half = nn.Sequential(stack(), nn.DataParallel(stack()), nn.Linear(8, 3)).eval().to(place)
    agree(half, FaultSpace(half), [vectors], trials=3)


def test_a_model_that_cannot_be_seen_is_not_run_for_nothing(vectors):
    class Alone(nn.Linear):
        runs = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            Alone.runs += 1
            return super().forward(x)

    model = Alone(8, 3).eval()
    prefix = Prefix(model, vectors, 6)
    assert Alone.runs == 0
    prefix.record(vectors)
    faults = FaultSpace(model).sample(1, seed=0)
    assert same_bits(prefix.run(0, vectors, faults), model(vectors))


def test_errors_of_the_model_are_its_own(vectors):
    with pytest.raises(RuntimeError, match="shapes"):
        Prefix(nn.Sequential(nn.Linear(3, 3)), vectors, 6)


def test_random_numbers_and_images_are_as_before(vectors):
    class Spoiling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x.sub_(x.mean()).div_(x.std() * 2)
            return self.two(self.one(x) + torch.rand(8) * 0)

    model, images = Spoiling().eval(), vectors.clone()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    assert Prefix(model, vectors, 6).cuts == []
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(vectors, images)


def test_batches_that_cannot_be_watched_run_whole(vectors):
    class Jagged(nn.Module):
        """Makes a nested tensor of large images."""

        def __init__(self) -> None:
            super().__init__()
            self.pack, self.head = Packing(), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.pack(x).to_padded_tensor(0)[:, 0])

    model = Jagged().eval()
    agree(model, FaultSpace(model), [vectors, vectors * 4], trials=3)


class Packing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nested.nested_tensor(list(x.unsqueeze(1)))


CUTS = {
    "InPlace": 5,
    "Tied": 8,
    "Shared": 11,
    "Deciding": 4,
    "Nested": 1,
    "Remembering": 3,
    "Normed": 7,
    "Recurrent": 3,
    "Attending": 6,
    "Seeded": 3,
    "Varying": 4,
    "Opening": 3,
    "Publishing": 2,
    "Counting": 2,
    "Bounding": 4,
    "Ranger": 1,
    "Filling": 3,
    "Recursing": 10,
    "Nesting": 4,
    "Peeking": 2,
    "Asking": 3,
    "Sensing": 0,
    "Shy": 2,
}
"""How many cuts a network has: none where copies would share no memory; what keeps is run again."""


def test_models_are_cut_wherever_they_can_be(network, vectors):
    assert len(prefix_of(network, vectors).cuts) == CUTS[type(network).__name__]


@pytest.mark.parametrize("start", range(3))
def test_a_cut_does_not_hang_on_the_others(network, vectors, monkeypatch, start):
    prefix = prefix_of(network, vectors)

    def third(calls: Calls, room: float) -> list[int]:
        return possible_cuts(calls)[start::3]

    monkeypatch.setattr("faultsim.run.replay.prefix.choose_cuts", third)
    expected = [cut for cut in third(prefix.calls, 0) if cut in prefix.cuts]
    assert prefix_of(network, vectors).cuts == expected


def test_what_an_interrupt_leaves_behind_does_nothing(vectors):
    model = stack()
    with other_forwards(open_modules(model), lambda name, forward: lambda *_: torch.zeros(6, 8)):
        left = [module.forward for module in model]
        assert not model(vectors).any()
    for module, forward in zip(model, left, strict=True):
        module.forward = forward  # as if they had not been taken away
    assert torch.equal(model(vectors), stack()(vectors))
