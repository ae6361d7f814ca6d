"""Faults in what modules are given."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault

SIGN = 1 << 31
X = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) + 0.5


class Block(nn.Module):
    """A residual branch, whose input two consumers share."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Identity()

    def forward(self, x):
        x = self.first(x)
        return self.last(x + self.branch(x))


@pytest.fixture
def block() -> Block:
    torch.manual_seed(0)
    return Block().eval()


def space_of(model: nn.Module, inputs, **settings) -> FaultSpace:
    return FaultSpace(model, "module-inputs", inputs=inputs, **settings)


def fault_at(model: nn.Module, inputs, name: str, index: int = 1, **where) -> FaultSet:
    (site,) = (site for site in space_of(model, inputs).sites if site.name == name)
    return FaultSet.of([Fault(site, index, SIGN, **where)])


def run(model: nn.Module, faults: FaultSet, *args, **kwargs):
    with torch.no_grad(), inject(model, faults):
        return model(*args, **kwargs)


def negated(x: torch.Tensor, index: int = 1) -> torch.Tensor:
    x = x.clone()
    x.flatten(1)[:, index] *= -1
    return x


def test_names_are_of_the_module_and_of_its_argument():
    class Mix(nn.Module):
        def forward(self, a, b, *, mask=None):
            return a["x"] + b[0] + mask

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.end = Mix(), nn.Linear(4, 2)

        def forward(self, x):
            return self.end(self.end(self.mix({"x": x}, (x, 1), mask=x))[:, :1].expand(-1, 4))

    space = space_of(Net().eval(), X)
    assert [site.name for site in space.sites] == [
        "mix:(in).0.x", "mix:(in).1.0", "mix:(in).mask", "end:(in)", "end@1:(in)",
    ]  # fmt: skip
    assert all(site.shape == (4,) for site in space.sites)
    assert len(space_of(Net().eval(), X, include="end").sites) == 2


def test_a_fault_strikes_one_consumer_alone(block):
    """Unlike one in the value itself, which the residual branch hands on as well."""
    golden = block(X)
    hidden = block.first(X)
    faulty = run(block, fault_at(block, X, "branch:(in)"), X)
    assert torch.equal(faulty, hidden + block.branch(negated(hidden)))
    value = FaultSpace(block, "activations", "31", inputs=X, include="first").locate([1])
    both = run(block, value, X)
    assert torch.equal(both, negated(hidden) + block.branch(negated(hidden)))
    assert not torch.equal(both, faulty)
    assert torch.equal(block(X), golden)


@settings(max_examples=30)
@given(
    found_at=st.integers(1, 4),
    struck_at=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    transposed=st.booleans(),
    data=st.data(),
)
def test_the_word_that_is_numbered_is_the_word_that_changes(found_at, struck_at, transposed, data):
    class Turn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start, self.see = nn.Linear(3, 3), nn.Identity()

        def forward(self, x):
            y = self.start(x)
            return self.see(y.transpose(0, 1) if transposed else y)

    torch.manual_seed(0)
    model = Turn().eval()
    (site,) = space_of(model, torch.rand(found_at, 2, 3), include="see").sites
    assert (site.shape, site.axis) == ((2, 3), int(transposed))
    index = data.draw(st.integers(0, site.numel - 1))
    sample = data.draw(st.one_of(st.none(), st.integers(0, sum(struck_at) - 1)))
    first = 0
    faults = FaultSet.of([Fault(site, index, SIGN, sample=sample)])
    with inject(model, faults) as injector, torch.no_grad():
        for n in struck_at:
            x = torch.rand(n, 2, 3)
            expected = model.start(x).flatten(1)
            for each in range(n):
                if sample in (None, first + each):
                    expected[each, index] *= -1
            expected = expected.view(n, 2, 3)
            assert torch.equal(model(x), expected.transpose(0, 1) if transposed else expected)
            injector.advance(n)
            first += n


class InPlace(nn.Module):
    """Its activation works in place, and somebody else reads the result by the old name."""

    def __init__(self, returns: bool) -> None:
        super().__init__()
        self.first, self.act = nn.Linear(4, 4), nn.LeakyReLU(0.5, inplace=True)
        self.returns = returns

    def forward(self, x):
        hidden = self.first(x)
        kept = hidden.view(-1, 4)
        result = self.act(hidden)
        return result + 0 if self.returns else kept + 0


@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_what_a_module_changes_in_place_changes_for_all_who_hold_it(returns, mode):
    torch.manual_seed(0)
    model = InPlace(returns).eval()
    faults = fault_at(model, X, "act:(in)")
    with mode(), inject(model, faults):
        out = model(X)
    assert torch.equal(out, nn.functional.leaky_relu(negated(model.first(X)), 0.5))
    if mode is torch.enable_grad:
        out.sum().backward()
        grad = model.first.bias.grad
        hidden = negated(model.first(X).detach())
        slope = torch.where(hidden > 0, 1.0, 0.5).sum(0)
        expected = slope
        assert torch.allclose(grad, expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_what_a_module_leaves_alone_stays_so_for_the_others(mode):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.same = nn.Linear(4, 4), nn.Identity()

        def forward(self, x):
            x = self.first(x)
            return x + 0 * self.same(x), self.same(x), x

    model = Net().eval()
    (site,) = space_of(model, X, include="same:(in)").sites
    with mode(), inject(model, FaultSet.of([Fault(site, 1, 0xFF << 23, "stuck-at-1")])):
        _, again, value = model(X)
    assert torch.equal(again, value)
    assert torch.equal(value, model.first(X))


def test_weights_that_are_arguments_are_struck_in_a_copy():
    class Product(nn.Module):
        def forward(self, x, weight):
            return x @ weight

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.product = nn.Parameter(torch.rand(4, 2)), Product()

        def forward(self, x):
            return self.product(x, self.weight)

    model = Net().eval()
    before = model.weight.detach().clone()
    space = space_of(model, X)
    assert space.whole.keys() == {"product:(in).1"}
    out = run(model, fault_at(model, X, "product:(in).1", 0), X)
    assert torch.equal(model.weight, before)
    changed = before.clone()
    changed[0, 0] *= -1
    assert torch.equal(out, X @ changed)
    both = FaultSet.of([*fault_at(model, X, "product:(in).0", 2, sample=1)])
    assert (run(model, both, X) != model(X)).any(1).tolist() == [False, True, False]


def test_a_hook_of_the_user_sees_a_fault_that_strikes_before_it(block):
    seen = []

    def look(module, args):
        seen.append(args[0].clone())
        return (args[0].abs(),)

    block.branch.register_forward_pre_hook(look)
    faults, hidden = fault_at(block, X, "branch:(in)"), block.first(X)
    for when, sees in (("after", hidden), ("before", negated(hidden))):
        given = negated(hidden.abs()) if when == "after" else hidden.abs()
        with torch.no_grad(), inject(block, faults, when=when):
            assert torch.equal(block(X), hidden + block.branch.forward(given))
        assert torch.equal(seen[0], sees)
        seen.clear()


def test_what_cannot_be_struck_is_told_and_what_does_not_fire_is_an_error(block):
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.idle, self.none = block, nn.Linear(1, 1), Nothing()

        def forward(self, x, twice=True):
            self.none()
            return self.block(self.block(x)) if twice else self.block(x)

    class Nothing(nn.Module):
        def forward(self):
            return torch.ones(1)

    model = Odd().eval()
    space = space_of(model, X)
    assert space.skipped == {
        "idle:(in)": "it did not run in the golden pass",
        "none:(in)": "it is given no tensor",
    }
    (site,) = (site for site in space.sites if site.name == "block@1:(in)")
    with (
        pytest.raises(
            InjectionError, match=r"never fired: block@1.*no such module with such an in"
        ),
        inject(model, FaultSet.of([Fault(site, 0, 1)])),
    ):
        model(X, twice=False)
    with pytest.raises(FaultError, match="no module"):
        inject(nn.Linear(1, 1), FaultSet.of([Fault(site, 0, 1)])).arm()
