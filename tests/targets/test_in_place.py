"""What a module changes in place is a value of its own, and is struck where it lies."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.faults import Fault

SIGN = 1 << 31


def network(inplace: bool) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.ReLU6(inplace),
        nn.Conv2d(3, 3, 1),
        nn.ELU(1.0, inplace),
        nn.Flatten(),
    ).eval()


def test_sites_and_outputs_are_those_of_the_network_without(images):
    plain, inplace = (FaultSpace(network(way), "activations", inputs=images) for way in (0, 1))
    assert plain.sites == inplace.sites
    for trial in range(20):
        faults = plain.sample(2, seed=0, trial=trial)
        outputs = []
        for way in (False, True):
            model = network(way)
            with torch.no_grad(), inject(model, faults):
                outputs.append(model(images))
        assert torch.equal(*outputs)


class Discards(nn.Module):
    """Goes on with what it gave the module."""

    def __init__(self, first: bool = False) -> None:
        super().__init__()
        self.start, self.act = nn.Identity() if first else nn.Linear(3, 4), nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.start(x)
        self.act(hidden)
        return hidden * 2


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("view", [False, True])
def test_a_caller_who_discards_the_output_is_struck(mode, view):
    class Viewed(Discards):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = self.start(x)
            self.act(hidden[:, :4] if view else hidden)
            return hidden * 2

    model, x = Viewed(), torch.rand(3, 3)
    space = FaultSpace(model, "activations", inputs=x)
    (site,) = (site for site in space.sites if site.name == "act")
    fault = Fault(site, 1, 0xFFFFFFFF, "replace", 0x40400000)  # 3.0
    golden = model.start(x).relu() * 2
    with mode(), inject(model, FaultSet.of([fault])):
        struck = model(x)
    assert (struck[:, 1] == 6).all()
    torch.testing.assert_close(struck[:, [0, 2, 3]], golden[:, [0, 2, 3]])


def test_the_callers_own_tensors_are_as_the_model_leaves_them():
    model, x = Discards(first=True), torch.randn(5, 4)
    space = FaultSpace(model, "activations", inputs=x.clone(), include="act")
    fault = Fault(space.sites[0], 2, 0xFFFFFFFF, "replace", 0x40400000)
    given = x.clone()
    with torch.no_grad(), inject(model, FaultSet.of([fault])):
        struck = model(given)
    assert (struck[:, 2] == 6).all()
    assert torch.equal(given, x.relu())


def test_gradients_are_those_of_the_module_and_the_struck_value():
    model, x = Discards(), torch.randn(6, 3)
    (site,) = (s for s in FaultSpace(model, "activations", inputs=x).sites if s.name == "act")
    fault = Fault(site, 1, 0xFFFFFFFF, "replace", 0x40400000)
    with inject(model, FaultSet.of([fault])):
        model(x).square().sum().backward()
    hidden = model.start(x)
    value = hidden.relu()
    grad = 8 * torch.where(torch.arange(4) == 1, torch.tensor(3.0), value) * (hidden > 0)
    torch.testing.assert_close(model.start.weight.grad, grad.T @ x)


class Changes(nn.Module):
    """A container that changes its child's output, and one that does not."""

    def __init__(self, changes: bool) -> None:
        super().__init__()
        self.child, self.changes = nn.Linear(2, 2), changes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.child(x)
        return y.add_(1) if self.changes else y


def test_a_container_has_a_value_of_its_own_where_it_changed_it():
    for changes, names in ((False, ["0.child"]), (True, ["0.child", "0"])):
        model = nn.Sequential(Changes(changes))
        space = FaultSpace(model, "activations", inputs=torch.rand(2, 2))
        assert [site.name for site in space.sites] == names


def test_kept_values_survive(images):
    """A tensor that the model holds on to is what it was, if no module changed it in place."""
    kept = []
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh())
    model[0].register_forward_hook(lambda module, args, output: kept.append(output))
    faults = FaultSpace(model, "activations", "30", inputs=images, include="0").sample(3, seed=0)
    kept.clear()
    with torch.no_grad():
        model(images)
        with inject(model, faults):
            model(images)
    assert torch.equal(*kept)
