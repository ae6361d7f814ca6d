"""What a watched pass knows of a model."""

from __future__ import annotations

import ctypes

import pytest
import torch
from torch import nn

from faultsim.fault import Site
from faultsim.faults import FaultSet
from faultsim.replay.calls import NEVER, Calls
from faultsim.replay.cuts import choose_cuts, possible_cuts
from faultsim.replay.forwards import open_modules
from faultsim.replay.trace import watch


def trace_calls(model: nn.Module, images: torch.Tensor) -> Calls:
    return watch(model, open_modules(model), images)[1]


def at(name: str, kind: str = "weights") -> FaultSet:
    return FaultSet([Site(name, kind, "float32", (4,))], [0], [0], [1])


class Reading(nn.Module):
    """Reads its second layer's bias before that layer runs, and its own scale after it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.idle = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.two.bias
        return self.two(self.one(x)) * self.scale


def test_a_weight_matters_from_its_first_reader_or_owner_on():
    calls = trace_calls(Reading(), torch.rand(2, 4))
    one, two = calls.calls
    assert (one.module, two.module) == ("one", "two")
    assert calls.reach(at("one.weight")) == one.enter
    assert calls.reach(at("two.weight")) == two.enter
    assert calls.reach(at("two.bias")) == 0  # read outside its owner
    assert calls.reach(at("scale")) == 0  # the root may hand it to a kernel of its own
    assert calls.reach(at("idle.weight")) == 0
    assert calls.reach(FaultSet((), [], [], [])) == NEVER


def test_tied_weights_matter_from_the_first_name_on():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    calls = trace_calls(model, torch.rand(2, 4))
    assert calls.reach(at("1.weight")) == calls.reach(at("0.weight")) == calls.calls[0].enter
    assert calls.reach(at("1.bias")) == calls.calls[1].enter


def test_an_activation_matters_once_its_module_ends():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    calls = trace_calls(model, torch.rand(2, 4))
    relu = calls.calls[1]
    assert calls.reach(at("1", "activations")) == relu.exit
    assert calls.reach(at("1", "states")) == relu.enter
    assert calls.reach(at("7", "activations")) == 0


class Skip(nn.Module):
    """The first output is read at once and at the end, the second at once only."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 16), nn.Linear(16, 4))
        self.start = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.start(x)
        return self.body(x) + x


@pytest.fixture
def skip() -> Calls:
    return trace_calls(Skip(), torch.rand(2, 4))


def test_what_crosses_a_cut(skip):
    def crossing(module: str) -> set[str]:
        cut = next(call.exit for call in skip.calls if call.module == module)
        return {call.module for call in skip.calls if call.needed(cut)}

    assert crossing("start") == {"start"}
    assert crossing("body.0") == {"start", "body.0"}
    assert crossing("body.1") == {"start", "body.1"}
    assert crossing("body") == {"start", "body"}


class Past(nn.Module):
    """Reads memory without telling torch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        words = (ctypes.c_float * x.numel()).from_address(x.data_ptr())
        return torch.tensor(list(words)).view(-1, 4)


def test_arguments_and_the_result_count_as_read():
    calls = trace_calls(nn.Sequential(nn.Linear(4, 4), Past()), torch.rand(2, 4)).calls
    assert [call.needed(call.exit) for call in calls] == [True, True]


def test_cuts_fit_into_the_memory_there_is(skip):
    def memory(cuts: list[int]) -> int:
        crossing = {call for call in skip.calls for cut in cuts if call.needed(cut)}
        return sum(call.bytes for call in crossing)

    assert memory(choose_cuts(skip, 1 << 20)) > 64
    assert 0 < memory(choose_cuts(skip, 64)) <= 64
    assert choose_cuts(skip, 16) == []


def test_cuts_divide_the_time():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(100)))
    calls = trace_calls(model, torch.rand(2, 4))
    seconds = tuple(float(tick) for tick in range(201))
    cuts = choose_cuts(Calls(calls.calls, calls.first_reads, seconds), 1 << 20)
    assert len(cuts) == 16
    assert cuts == sorted(cuts)
    assert all(200 * i / 16 < cut <= 200 * (i + 1) / 16 for i, cut in enumerate(cuts))


class Odd(nn.Module):
    def forward(self, x: torch.Tensor) -> object:
        class Box:
            inside = x

        return Box


class Opening(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.odd, self.head = Odd(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.odd(x).inside)


def test_what_cannot_be_copied_cannot_be_skipped():
    calls = trace_calls(Opening(), torch.rand(2, 4))
    assert possible_cuts(calls) == []
    assert choose_cuts(calls, 1 << 20) == []


def test_compiled_and_replicated_modules_are_closed():
    compiled = torch.compile(nn.Sequential(nn.Linear(4, 4)))
    inside = nn.Sequential(nn.Linear(4, 4))
    inside.compile()
    model = nn.Sequential(nn.Linear(4, 4), compiled, inside, nn.DataParallel(nn.ReLU()))
    assert set(open_modules(model)) == {"0"}
    assert open_modules(compiled) == {}
