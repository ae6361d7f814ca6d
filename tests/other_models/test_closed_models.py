"""Models that were compiled, exported, frozen or not finished: they run, or a line says the way."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSimError, Workload, tasks

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6) % 3


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    return nn.Sequential(*layers).eval()


def scripted() -> nn.Module:
    return torch.jit.script(net())


def traced() -> nn.Module:
    return torch.jit.trace(net(), X)


def exported() -> nn.Module:
    return torch.export.export(net(), (X,)).module()


def exported_for_any_batch() -> nn.Module:
    shapes = ({0: torch.export.Dim("batch", min=2, max=64)},)
    return torch.export.export(net(), (X,), dynamic_shapes=shapes).module()


def unflattened() -> nn.Module:
    try:
        return torch.export.unflatten(torch.export.export(net(), (X,)))
    except AssertionError:  # torch 2.4 stumbles over a root that is a container
        pytest.skip("this torch cannot unflatten the network")


def without_gradients() -> nn.Module:
    return net().requires_grad_(False)


def work_of(model: nn.Module) -> Workload:
    return Workload(model, [(X, Y)], tasks.Classification(3), search=[(X, Y)])


CLOSED = [scripted, traced, exported, exported_for_any_batch]
OPEN = [unflattened, without_gradients]


@pytest.mark.parametrize("mode", ["random", "worst-case"])
@pytest.mark.parametrize("make", CLOSED + OPEN)
def test_weights_are_struck_in_every_mode(campaign, make, mode):
    model = make()
    with torch.no_grad():
        before = model(X)
    assert campaign(work_of(model), mode=mode).cells
    with torch.no_grad():
        assert torch.equal(model(X), before)


@pytest.mark.parametrize("make", [scripted, exported])
def test_a_live_model_may_be_one_of_them(campaign, make):
    assert campaign(model=make(), data=(X, Y)).golden.n == 6


@pytest.mark.parametrize("make", CLOSED)
@pytest.mark.parametrize("target", ["activations", "inputs", "module-inputs"])
def test_what_hooks_cannot_see_is_refused_with_the_way_round(campaign, make, target):
    with pytest.raises(FaultSimError, match=r"pass the module before torch\.") as error:
        campaign(work_of(make()), target=target)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", OPEN)
@pytest.mark.parametrize("mode", ["random", "worst-case"])
def test_activations_of_what_is_open_are_struck(campaign, make, mode):
    assert campaign(work_of(make()), target="activations", mode=mode).cells


def test_a_frozen_model_says_that_its_weights_are_constants(campaign):
    frozen = torch.jit.freeze(torch.jit.script(net()))
    with pytest.raises(FaultSimError, match=r"it is frozen, .*strike the model before"):
        campaign(work_of(frozen))


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_lazy_layer_wants_a_batch_first(campaign, target):
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(FaultSimError, match="run the model once before"):
        campaign(work_of(model), target=target)
    model(X)
    assert campaign(work_of(model), target=target).cells
