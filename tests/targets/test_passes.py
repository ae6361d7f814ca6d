"""A fault strikes in every pass, whatever the way in, or the pass is an error."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import InjectionError
from faultsim.faults import Fault, Site
from faultsim.targets.output_hooks import OutputHooks


class Clip(nn.Module):
    """Entered through several methods."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.act, self.head = nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.act(self.body(x)))

    def forward(self, x: torch.Tensor, skip: bool = False) -> torch.Tensor:
        return self.head(x if skip else self.encode(x))

    def both(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(x) + self(x)

    def size(self) -> int:
        return 4


def site(model: nn.Module, name: str, x: torch.Tensor) -> Site:
    return next(s for s in FaultSpace(model, "activations", inputs=x).sites if s.name == name)


def strike(model: nn.Module, name: str, x: torch.Tensor, **where) -> FaultSet:
    return FaultSet.of([Fault(site(model, name, x), 0, 1 << 30, **where)])


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(3, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["body", "act", "act@1", "head"])
@pytest.mark.parametrize("way", ["__call__", "forward", "both"])
def test_every_way_in_is_struck(way, name, x):
    model = Clip()
    enter = getattr(model, way)
    with torch.no_grad():
        golden = enter(x)
        with inject(model, strike(model, name, x)):
            struck = [getattr(model, way)(x) for _ in range(3)]
        assert all((y != golden).any(dim=1).all() for y in struck)
        assert torch.equal(enter(x), golden)


@pytest.mark.parametrize("name", ["body", "act", "act@1"])
def test_other_methods_are_passes_of_their_own(name, x):
    model = Clip()
    golden = model.encode(x)
    with inject(model, strike(model, name, x)):
        struck = [(model.encode(x), model.size()) for _ in range(3)]
    assert all((y != golden).any(dim=1).all() for y, _ in struck)


def test_the_models_own_output_is_struck_whatever_the_way_in(x):
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    model = Root()
    with inject(model, strike(model, "(root)", x)):
        assert all((way(x)[:, 0] != 2 * x[:, 0]).all() for way in (model, model.forward))


def test_modules_called_on_their_own_are_struck(x):
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 2))
    golden = model[0](x)
    with inject(model, strike(model, "0.0", x)):
        for _ in range(2):
            assert (model[0](x) != golden).any(dim=1).all()
            assert (model[0][0](x)[:, 0] != golden.atanh()[:, 0]).all()


def test_a_pass_that_was_not_struck_is_an_error(x):
    model = Clip()
    with inject(model, strike(model, "body", x)):
        model(x)
        with pytest.raises(InjectionError, match=r"never fired: body.*in a pass"):
            model(x, skip=True)


def test_samples_that_are_counted_were_exposed(x):
    model = Clip()
    injector = inject(model, strike(model, "body", x, sample=1))
    injector.arm()
    model(x, skip=True)
    with pytest.raises(InjectionError, match="never fired: body"):
        injector.advance(3)
    injector.disarm()


def test_a_pass_that_raises_is_no_pass_that_was_missed(x):
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Identity(), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor, fail: bool = False) -> torch.Tensor:
            x = self.first(x)
            if fail:
                raise ValueError("mine")
            return self.last(x)

    model = Fails()
    with inject(model, strike(model, "last", x)) as injector:
        with pytest.raises(ValueError, match="mine"):
            model(x, fail=True)
        injector.advance(3)
        model(x)
        injector.advance(3)


def test_recursion_is_one_pass(x):
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, depth: int = 2) -> torch.Tensor:
            return self.fc(x) if depth == 0 else self.fc(self(x, depth - 1))

    model = Deep()
    space = FaultSpace(model, "activations", inputs=x)
    assert [s.name for s in space.sites] == ["fc", "fc@1", "fc@2"]
    golden = model(x)
    with inject(model, strike(model, "fc@2", x)):
        for _ in range(2):
            assert (model(x) != golden).sum() == 3


def test_checkpoints_run_again_under_the_same_fault(x):
    class Saves(nn.Module):
        def __init__(self, saves: bool) -> None:
            super().__init__()
            self.fc, self.act, self.saves = nn.Linear(4, 4), nn.Tanh(), saves

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.saves:
                return checkpoint(lambda x: self.act(self.fc(x)), x, use_reentrant=False)
            return self.act(self.fc(x))

    grads = []
    for saves in (False, True):
        torch.manual_seed(0)
        model = Saves(saves)
        fault = FaultSet.of([Fault(site(model, "fc", x), 0, 1 << 31)])
        with inject(model, fault):
            model(x).square().sum().backward()
        grads.append(model.fc.weight.grad)
    assert torch.equal(*grads)


def test_models_are_as_before_and_their_methods_look_the_same(x):
    model = Clip()
    before, signature = dict(vars(model)), inspect.signature(model.forward)
    with inject(model, strike(model, "body", x)):
        assert inspect.signature(model.forward) == signature
        model(x)
    assert dict(vars(model)) == before


def test_copies_made_meanwhile_run_their_own_methods(x):
    model = Clip()
    with inject(model, strike(model, "head", x)):
        copied = copy.deepcopy(model)
        model(x)
    with torch.no_grad():
        copied.body.weight.zero_()
        copied.body.bias.zero_()
    assert torch.equal(copied.encode(x), torch.zeros(3, 4))
    assert not torch.equal(model.encode(x), torch.zeros(3, 4))


def test_nested_injections_end_in_order(x):
    model = Clip()
    golden = model(x)
    with inject(model, strike(model, "body", x)):
        outer = model(x)
        with inject(model, strike(model, "head", x)):
            assert not torch.equal(model(x), outer)
        assert torch.equal(model(x), outer)
    assert torch.equal(model(x), golden)


def test_fault_sets_stay_picklable(x):
    faults = strike(Clip(), "body", x)
    assert pickle.loads(pickle.dumps(list(faults))) == list(faults)


def test_hooks_may_be_taken_off_in_any_order():
    model = Clip().eval()
    own = [dict(vars(module)) for module in model.modules()]
    first, second = (OutputHooks(model, lambda name, tensor: tensor) for _ in range(2))
    first.register()
    second.register()
    first.remove()
    second.remove()
    assert [dict(vars(module)) for module in model.modules()] == own
