"""Finding sites changes nothing in a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSpace
from faultsim.targets.untouched import _State


class Remembers(nn.Module):
    """Keeps statistics, a counter, a cache, a list and random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm, self.drop = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout()
        self.register_buffer("total", torch.zeros(4))
        self.register_buffer("calls", torch.tensor(0))
        self.count, self.seen, self.by_size = 0, [], {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.mul_(2)
        self.total += x.sum(dim=0)
        self.calls = self.calls + 1
        self.count += 1
        self.seen.append(x)
        self.by_size[len(x)] = x
        if not hasattr(self, "cache"):
            self.cache = torch.arange(4.0)
        return self.drop(self.norm(self.fc(x) + self.cache)) + torch.rand(())


def words(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("target", ["activations", ("weights", "states")])
def test_nothing_is_changed(train, target):
    model, x = Remembers().train(train), torch.rand(5, 4)
    model(x.clone()).sum().backward()
    del model.cache
    model.fc.weight.requires_grad_(False)
    before, own, given = words(model), dict(vars(model)), x.clone()
    seen, sizes = list(model.seen), dict(model.by_size)
    grad, flags = model.fc.bias.grad.clone(), [module.training for module in model.modules()]
    random = torch.get_rng_state()
    FaultSpace(model, target, inputs=x)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert dict(vars(model)) == own
    assert all(a is b for a, b in zip(model.seen, seen, strict=True))
    assert model.by_size == sizes
    assert torch.equal(model.fc.bias.grad, grad)
    assert [module.training for module in model.modules()] == flags
    assert not model.fc.weight.requires_grad
    assert torch.equal(x, given)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_nothing_is_changed_where_the_model_fails():
    class Fails(Remembers):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError(super().forward(x).shape)

    model = Fails().train()
    before, own = words(model), dict(vars(model))
    with pytest.raises(ValueError, match="5, 4"):
        FaultSpace(model, "activations", inputs=torch.rand(5, 4))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert dict(vars(model)) == own


def test_inference_mode_hides_nothing():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
    with torch.inference_mode():
        space = FaultSpace(model, "activations", inputs=torch.rand(2, 3))
    assert [site.name for site in space.sites] == ["0", "1"]


def test_an_observer_that_grows_in_its_first_pass_is_empty_again():
    class Observer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("lowest", torch.tensor([]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.lowest.resize_(x.shape[1]).copy_(x.amin(0))
            return x + 1

    model = nn.Sequential(nn.Linear(3, 4), Observer())
    FaultSpace(model, "activations", inputs=torch.rand(2, 3))
    assert model[1].lowest.shape == (0,)


def test_an_interrupt_while_the_model_is_put_back_does_not_stop_it(monkeypatch):
    model, real, times = nn.BatchNorm1d(3).train(), _State.restore, []
    before = words(model)

    def once(state: _State) -> None:
        times.append(1)
        if len(times) == 1:
            raise KeyboardInterrupt
        real(state)

    monkeypatch.setattr(_State, "restore", once)
    with pytest.raises(KeyboardInterrupt):
        FaultSpace(model, "activations", inputs=torch.rand(4, 3))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
