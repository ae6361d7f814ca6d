"""Golden runs that nothing can be compared with are met before the first trial."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, run_campaign
from faultsim.data import Dataset, Split
from faultsim.errors import ConfigError


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.dropout(x.flatten(1), 0.3, training=True))


class Counting(Noisy):
    """Changes from pass to pass by a state of its own."""

    passes = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return self.head(x.flatten(1)) + self.passes


class Writing(Noisy):
    """Changes the images that it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mul_(2).flatten(1))


class Complex(Noisy):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1)).to(torch.complex64)


@pytest.fixture
def run(dataset, tmp_path):
    def go(model: nn.Module, data: Dataset = dataset, **settings):
        usual = {"mode": "random", "trials": 2, "flips": (1,), "batch_size": 7}
        config = CampaignConfig(**usual | settings, out=str(tmp_path / "a"))
        return run_campaign(config, model=model, data=data)

    return go


@pytest.mark.parametrize("make", [Noisy, Counting])
def test_a_model_that_does_not_repeat_itself_is_refused_unless_asked_for(run, make, tmp_path):
    with pytest.raises(ConfigError, match=r"differ in \d+ of 24 images: .*allow_unsound=True"):
        run(make())
    assert not (tmp_path / "a").exists()
    assert run(make(), allow_unsound=True).golden.n == 24


def test_a_golden_run_that_is_not_finite_is_refused_unless_asked_for(run):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with torch.no_grad():
        model[1].bias[0] = torch.nan
    with pytest.raises(ConfigError, match="not finite in 24 of 24 images"):
        run(model)
    assert run(model, allow_unsound=True).golden.due == 24


def test_images_that_are_not_finite_are_found(run, dataset):
    images = dataset.test.images.clone()
    images[5] = torch.nan
    part = Split(images, dataset.test.labels)
    data = Dataset("holes", 3, dataset.train, dataset.val, part)
    with pytest.raises(ConfigError, match="not finite in 1 of 24 images"):
        run(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), data)


def test_a_model_that_writes_to_its_images_harms_nobody(run, dataset):
    torch.manual_seed(0)
    before, model = dataset.test.images.clone(), Writing()
    golden = run(model).golden
    assert torch.equal(dataset.test.images, before)
    with torch.no_grad():
        right = model(before.clone()).argmax(1) == dataset.test.labels
    assert golden.correct == int(right.sum())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Complex(), "output is torch.complex64"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), "1.weight has no value yet"),
    ],
)
def test_models_that_cannot_be_judged(run, model, message):
    with pytest.raises(ConfigError, match=message):
        run(model)


def test_worst_case_needs_something_to_take_a_gradient_of(run):
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.rand(64, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) @ self.weight

    with pytest.raises(ConfigError, match="has no gradient"):
        run(Fixed(), mode="worst-case")


@pytest.mark.parametrize("target", ["weights", "activations"])
@pytest.mark.parametrize("mode", ["random", "worst-case"])
def test_images_that_require_grad(run, dataset, model, mode, target):
    images = [part.images.clone().requires_grad_() for part in (dataset.val, dataset.test)]
    parts = list(map(Split, images, (dataset.val.labels, dataset.test.labels)))
    data = Dataset("grad", 3, parts[0], *parts)
    run(model, data, mode=mode, target=target)


KINDS = [{}, {"mode": "worst-case"}]


@pytest.mark.parametrize("settings", KINDS, ids=str)
@pytest.mark.parametrize("how", ["function", "method"])
def test_compiled_models_are_run_as_they_were(run, model, dataset, tmp_path, settings, how):
    if not hasattr(torch.compiler, "set_stance"):
        pytest.skip("this torch cannot run a compiled model uncompiled")
    torch._dynamo.reset()
    plain = run(model, **settings, flips=(1,), include=("*head",)).cells
    (tmp_path / "a").rename(tmp_path / "plain")
    if how == "method":
        model.compile(backend="eager")
    struck = torch.compile(model, backend="eager") if how == "function" else model
    cells = run(struck, **settings, include=("*head",)).cells
    assert [cell.rates for cell in cells] == [cell.rates for cell in plain]
