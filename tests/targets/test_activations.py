"""Faults in module outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault, Site

SIGN = 1 << 31


def site(model: nn.Module, name: str, inputs: torch.Tensor) -> Site:
    return next(s for s in FaultSpace(model, "activations", inputs=inputs).sites if s.name == name)


def strike(model: nn.Module, inputs: torch.Tensor, name: str, **where) -> FaultSet:
    return FaultSet.of([Fault(site(model, name, inputs), mask=SIGN, **{"index": 0} | where)])


def test_sites_are_the_modules_that_fired(model, images):
    space = FaultSpace(model, "activations", inputs=images)
    shapes = {s.name: s.shape for s in space.sites}
    assert shapes == {
        "conv": (4, 8, 8),
        "norm": (4, 8, 8),
        "act": (4, 8, 8),
        "head": (3,),
    }


def test_a_container_is_no_second_site():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    names = [s.name for s in FaultSpace(model, "activations", inputs=torch.ones(1, 2)).sites]
    assert names == ["0.0", "0.1"]


def test_the_struck_word_alone_changes(images):
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    golden = model(images)
    with inject(model, strike(model, images, "0", index=5)):
        faulty = model(images)
    different = (faulty != golden).flatten(1).nonzero()
    assert different.tolist() == [[i, 5] for i in range(len(images))]
    assert torch.equal(faulty[:, 0, 0, 5], -golden[:, 0, 0, 5])
    assert torch.equal(model(images), golden)


def test_one_sample_counts_across_batches(images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    golden = torch.cat([model(batch) for batch in images.split(2)])
    injector = inject(model, strike(model, images, "1", sample=4))
    rows = []
    with injector:
        for batch in images.split(2):
            rows.append(model(batch))
            injector.advance(len(batch))
    faulty = torch.cat(rows)
    assert (faulty != golden).any(dim=1).nonzero().flatten().tolist() == [4]


def test_a_fault_that_never_fires_is_an_error(model, images):
    with (
        pytest.raises(InjectionError, match="never fired: head"),
        inject(model, strike(model, images, "head", sample=99)),
    ):
        model(images)
    with (
        pytest.raises(InjectionError, match="never fired"),
        inject(model, strike(model, images, "head")),
    ):
        pass


def test_an_exception_inside_is_not_replaced_by_that_error(model, images):
    with pytest.raises(ValueError, match="mine"), inject(model, strike(model, images, "head")):
        raise ValueError("mine")


def test_aliased_outputs_leave_inputs_and_parameters_alone(images):
    class Same(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    model = nn.Sequential(Same(), nn.Flatten())
    before = images.clone()
    faults = strike(model, images, "0", index=3)
    with inject(model, faults):
        out = model(images)
    assert torch.equal(images, before)
    assert torch.equal(out[:, 3], -before.flatten(1)[:, 3])


def test_gradients_flow_as_through_the_faulty_forward(images):
    """Neither in-place modules nor tensors saved for backward go stale."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 2))
    with inject(model, strike(model, images, "0", index=7)):
        model(images).square().sum().backward()
    grad = model[3].weight.grad.clone()
    hidden = model[0](images).detach()
    hidden.view(len(images), -1)[:, 7] *= -1
    flat = hidden.relu().flatten(1)
    out = flat @ model[3].weight.t() + model[3].bias
    expected = torch.autograd.grad(out.square().sum(), model[3].weight)[0]
    torch.testing.assert_close(grad, expected)


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclass
class Record:
    logits: torch.Tensor
    note: str


@pytest.mark.parametrize(
    ("wrap", "path", "pick"),
    [
        (lambda x: (x, x + 1), "1", lambda y: y[1]),
        (lambda x: [x, {"deep": x + 1}], "1.deep", lambda y: y[1]["deep"]),
        (lambda x: Pair(x, x + 1), "right", lambda y: y.right),
        (lambda x: Record(x + 1, "kept"), "logits", lambda y: y.logits),
    ],
)
def test_nested_outputs(wrap, path, pick):
    class Wrapped(nn.Module):
        def forward(self, x: torch.Tensor):
            return wrap(x)

    model, x = Wrapped(), torch.ones(2, 3)
    with inject(model, strike(model, x, f"(root):{path}")):
        out = model(x)
    assert type(out) is type(wrap(x))
    assert pick(out).tolist() == [[-2.0, 2.0, 2.0]] * 2


def test_a_module_called_twice_has_two_sites():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.Tanh()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.act(x) + 1)

    model, x = Twice(), torch.ones(2, 3)
    space = FaultSpace(model, "activations", inputs=x)
    assert [s.name for s in space.sites] == ["act", "act@1"]
    golden = model(x)
    with inject(model, strike(model, x, "act@1", index=2)):
        assert torch.equal(model(x)[:, 2], -golden[:, 2])
        assert torch.equal(model(x)[:, 2], -golden[:, 2])  # calls are counted anew each pass


def test_outputs_without_a_batch_dimension_are_indexed_whole():
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.mix(torch.ones(7, 3)).sum()

    model, x = Table(), torch.ones(2, 3)
    found = site(model, "mix", x)
    assert not found.per_sample
    assert found.shape == (7, 5)


def test_missing_modules_and_missing_inputs_are_named(model, images):
    faults = FaultSet.of([Fault(Site("gone", "activations", "float32", (3,)), 0, 1)])
    with pytest.raises(FaultError, match="no module 'gone'"):
        inject(model, faults).arm()
    with pytest.raises(FaultError, match="give inputs"):
        FaultSpace(model, "activations")


def test_no_hook_outlives_the_injection(model, images):
    faults = strike(model, images, "head")
    with inject(model, faults):
        model(images)
    hooks = [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooks
