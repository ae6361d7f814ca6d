"""Models by name or path, and checkpoints that fit or are refused in one line."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from faultsim.data import load_data
from faultsim.data.evaluation import evaluate
from faultsim.errors import ConfigError
from faultsim.models import load_model, medmamba, model_digest
from faultsim.models.loading import SHIPPED


def make(num_classes: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, num_classes))


def broken() -> nn.Module:
    raise RuntimeError("no GPU")


def not_a_model() -> int:
    return 3


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "my_models", sys.modules[__name__])


def load(spec: str, **options) -> nn.Module:
    return load_model(spec, **{"num_classes": 3, "in_channels": 1} | options)


def test_the_shipped_model_reaches_its_accuracy():
    data = load_data("digits")
    model = load_model("medmamba-n", num_classes=10, in_channels=1, data="digits")
    assert not model.training
    assert evaluate(model, data.test).accuracy >= 0.97
    assert (SHIPPED / "medmamba-n-digits.safetensors").stat().st_size <= 2_000_000


def test_the_shipped_checkpoint_names_its_recipe():
    from safetensors import safe_open

    with safe_open(SHIPPED / "medmamba-n-digits.safetensors", "pt") as file:
        assert '"seed": 0' in file.metadata()["recipe"]


def test_a_factory_gets_what_its_signature_takes():
    assert load("my_models:make")[1].out_features == 3


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_checkpoints_load_strictly(tmp_path, suffix):
    source = make(3)
    nn.init.ones_(source[1].weight)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pt":
        torch.save({"state_dict": source.state_dict(), "epoch": 3}, path)
    else:
        save_file(source.state_dict(), path)
    assert model_digest(load("my_models:make", checkpoint=path)) == model_digest(source)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet", "unknown model 'resnet'"),
        ("medmamba-t", "no checkpoint of medmamba-t for None is shipped"),
        ("nowhere.at.all:make", "cannot import nowhere.at.all"),
        ("my_models:missing", "no callable 'missing'"),
        ("my_models:broken", "failed: RuntimeError: no GPU"),
        ("my_models:not_a_model", "returned int, not an nn.Module"),
    ],
)
def test_models_that_cannot_be_had(spec, message):
    with pytest.raises(ConfigError, match=message):
        load(spec)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"1.weight": torch.zeros(3, 4)}, "lacks 1.bias"),
        ({"1.weight": torch.zeros(3, 5), "1.bias": torch.zeros(3)}, r"1.weight is \(3, 5\)"),
        (
            {"1.weight": torch.zeros(3, 4), "1.bias": torch.zeros(3), "x": torch.zeros(1)},
            "has x, which the model lacks",
        ),
    ],
)
def test_checkpoints_that_do_not_fit(tmp_path, state, message):
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=message):
        load("my_models:make", checkpoint=tmp_path / "w.safetensors")


def test_files_that_are_no_checkpoint(tmp_path):
    for name in ("a.safetensors", "b.pt"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(ConfigError, match="cannot be read as a checkpoint") as caught:
            load("my_models:make", checkpoint=tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no checkpoint at"):
        load("my_models:make", checkpoint=tmp_path / "c.pt")


def test_the_digest_sees_a_single_bit():
    model = medmamba("n", num_classes=2)
    before = model_digest(model)
    with torch.no_grad():
        model.head.bias[0] = -0.0
    assert model_digest(model) != before
