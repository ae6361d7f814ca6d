"""What a watched pass knows of a model."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import pytest
import torch
from torch import nn

from faultsim.faults import FaultSet
from faultsim.faults.site import Site
from faultsim.run.replay.calls import NEVER, Calls
from faultsim.run.replay.cuts import choose_cuts, possible_cuts
from faultsim.run.replay.forwards import open_modules
from faultsim.run.replay.trace import watch


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

    skip = replace(skip, seconds=tuple(map(float, range(len(skip.seconds)))))
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


def test_a_step_that_took_long_once_does_not_swallow_the_cuts():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(100)))
    calls = trace_calls(model, torch.rand(2, 4))
    steady = tuple(float(tick) for tick in range(201))
    slow = replace(calls, seconds=tuple(at + 1000.0 * (at > 150) for at in steady))
    other = replace(calls, seconds=tuple(at + 500.0 * (at > 20) for at in steady))
    assert len(choose_cuts(slow, 1 << 20)) < 8
    assert slow.at_best(other).seconds == steady
    assert slow.at_best(replace(other, spoils_inputs=True)) == slow


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
    assert possible_cuts(calls) == exits(calls, "head")  # it is run again
    assert calls.calls[0].again


def test_scripted_and_replicated_modules_are_closed():
    shared = nn.Linear(4, 4)
    replicas = nn.DataParallel(nn.Sequential(shared))
    assert set(open_modules(nn.Sequential(nn.Linear(4, 4), replicas, shared))) == {"0"}
    assert open_modules(replicas) == {}


def test_nothing_is_seen_where_anything_is_compiled():
    linear = nn.Linear(4, 4)
    compiled = nn.Sequential(nn.Linear(4, 4))
    compiled.compile()
    keeping = nn.Sequential(nn.Linear(4, 4))
    keeping.fast = torch.compile(keeping[0].forward)
    for inner in (torch.compile(nn.Sequential(linear)), compiled, keeping):
        assert open_modules(inner) == {}
        assert open_modules(nn.Sequential(linear, inner, nn.ReLU())) == {}


def exits(calls: Calls, *names: str) -> list[int]:
    return sorted(call.exit for call in calls.calls if call.module in names)


class InPlace(nn.Module):
    """In place on a module's output, and on a value of the root's own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.drop = nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.act(self.one(x)))
        return self.act(self.two(x) + x)


def test_what_a_call_does_to_its_argument():
    calls = trace_calls(InPlace().eval(), torch.rand(2, 4))
    said = [(call.module, call.argument, call.writes) for call in calls.calls]
    assert said[:3] == [("one", None, False), ("act", 0, True), ("drop", 0, False)]
    assert said[3:] == [("two", None, False), ("act", 0, True)]
    assert all(call.spoilt == NEVER for call in calls.calls)
    assert possible_cuts(calls) == exits(calls, "one", "act", "drop", "two")


def test_what_is_changed_inside_a_call_is_its_own_affair():
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
    calls = trace_calls(nn.Sequential(inner, nn.Linear(4, 4)), torch.rand(2, 4))
    assert possible_cuts(calls) == sorted(call.exit for call in calls.calls)


class Ranging(nn.Module):
    """The second layer returns a view of what the first did, which the third changes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.view, self.zero = nn.Linear(4, 4), nn.Flatten(), Zero()
        self.head = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.one(x)
        view = self.view(x.unsqueeze(1))
        self.zero(x)
        return self.head(view)


class Zero(nn.Module):
    def forward(self, x: torch.Tensor) -> None:
        x.mul_(0)


def test_a_value_that_another_call_changes_cannot_cross():
    calls = trace_calls(Ranging(), torch.rand(2, 4))
    one, view, _, head = calls.calls
    assert view.spoilt == view.exit  # a copy would be a view no more
    assert head.spoilt == NEVER
    assert set(one.storages) == set(view.storages)
    assert possible_cuts(calls) == [one.exit]  # the root reads it in any run


class Stateful(nn.Module):
    def __init__(self, change) -> None:
        super().__init__()
        self.change, self.cache, self.table, self.size = change, [0], {"a": 1}, 3
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.change(self)
        return x * 2


@pytest.mark.parametrize(
    ("change", "stateless"),
    [
        (lambda m: None, True),
        (lambda m: setattr(m, "size", 3), True),
        (lambda m: setattr(m, "size", 4), False),
        (lambda m: setattr(m, "seen", 1), False),
        (lambda m: m.count.add_(1), False),
        (lambda m: setattr(m, "count", torch.zeros(1)), False),
        (lambda m: m.cache.append(1), False),
        (lambda m: m.cache.__setitem__(0, "new"), False),
        (lambda m: m.table.update(a=[]), False),
    ],
)
def test_a_module_that_keeps_something_is_run_again(change, stateless):
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(Stateful(change)), nn.Linear(4, 4))
    calls = trace_calls(model, torch.rand(2, 4))
    ends = [call.exit for call in calls.calls]
    assert possible_cuts(calls) == (sorted(ends) if stateless else [ends[0], ends[-1]])


def test_images_that_are_changed_or_returned():
    class Centred(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.relu(x.sub_(1))

    images = torch.rand(2, 1, 4)
    assert possible_cuts(trace_calls(nn.Sequential(Centred(), nn.Linear(4, 4)), images)) == []
    flat = trace_calls(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)), images)
    assert possible_cuts(flat) == exits(flat, "1")


def test_values_that_share_memory_do_not_cross_together():
    class Halves(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (x * 2).chunk(2, dim=-1)

    class Adding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.halves, self.head = Halves(), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one, other = self.halves(x)
            return self.head(one + other)

    calls = trace_calls(Adding(), torch.rand(2, 4))
    assert possible_cuts(calls) == []


def test_memory_that_is_used_again_is_not_shared():
    calls = trace_calls(nn.Sequential(*(nn.Linear(4, 4) for _ in range(9))), torch.rand(2, 4))
    assert len({call.storages for call in calls.calls}) == 9
    assert len(possible_cuts(calls)) == 9


def test_a_module_that_calls_itself_is_cut_at_each_depth():
    class Again(nn.Module):
        def forward(self, x: torch.Tensor, depth: int = 2) -> torch.Tensor:
            return self(x * 2, depth - 1) + 1 if depth else x * 3

    calls = trace_calls(nn.Sequential(Again(), nn.ReLU()), torch.rand(2, 4))
    assert possible_cuts(calls) == sorted({call.exit for call in calls.calls})
    assert calls.reach(at("0", "activations")) == min(exits(calls, "0"))


def test_another_way_is_told_from_the_same():
    calls = trace_calls(InPlace().eval(), torch.rand(2, 4))
    assert calls.same_way(trace_calls(InPlace().eval(), torch.rand(5, 4)))
    assert not calls.same_way(replace(calls, first_reads=calls.first_reads | {"one.bias": 7}))
    assert not calls.same_way(replace(calls, spoils_inputs=True))
    other = (replace(calls.calls[0], last=99), *calls.calls[1:])
    assert not calls.same_way(replace(calls, calls=other))
