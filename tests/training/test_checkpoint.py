"""A checkpoint with its recipe, and a card that says where it comes from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors import safe_open

from faultsim.data.evaluation import assess
from faultsim.errors import ConfigError
from faultsim.models import model_digest
from faultsim.models.checkpoint import read_checkpoint
from faultsim.training import Epoch, model_card, save_checkpoint
from faultsim.training.card import source_of

BEST = Epoch(7, 1e-3, 0.1, 0.2, 0.9, 0.95)


@pytest.fixture
def results(fresh, dataset):
    return {split: assess(fresh(), dataset, split) for split in ("val", "test")}


@pytest.fixture
def config(quick):
    return quick(data="set", data_root="/secret/root", out="/secret/out/x.safetensors")


def test_a_checkpoint_holds_weights_recipe_and_results(tmp_path, fresh, config, results):
    path, model = tmp_path / "new" / "x.safetensors", fresh()
    save_checkpoint(model, path, config, results)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["recipe"])["lr"] == config.lr
    assert json.loads(metadata["results"])["test"]["AUC"] == results["test"]["AUC"].to_json()
    assert "secret" not in str(metadata)
    other = fresh()
    other.load_state_dict(read_checkpoint(path))
    assert model_digest(other) == model_digest(model)
    assert [file.name for file in path.parent.iterdir()] == ["x.safetensors"]


def test_a_checkpoint_that_cannot_be_written(fresh, config, results):
    from pathlib import Path

    with pytest.raises(ConfigError, match="cannot write"):
        save_checkpoint(fresh(), Path("/proc/nothing/x.safetensors"), config, results)


def test_a_card_says_what_how_and_how_good(fresh, dataset, config, results):
    card = model_card(fresh(), dataset, config, BEST, results)
    assert "**Not for clinical use.**" in card
    assert "faultsim train --model medmamba-n --data set " in card
    assert "30 train, 18 val, 24 test" in card
    assert "weights of epoch 7, the best by validation AUC" in card
    test = results["test"]["accuracy"]
    assert f"| test | 24 | {test.value:.3f} [{test.low:.3f}, {test.high:.3f}] |" in card
    assert "secret" not in card
    assert "sensitivity" not in card


def test_a_card_names_the_positive_class(fresh, dataset, config):
    from faultsim.data import Split

    parts = {
        name: Split(split.images, split.labels.clamp(max=1))
        for name in ("train", "val", "test")
        if (split := dataset.split(name))
    }
    names = ("malignant", "normal, benign")
    data = replace(dataset, num_classes=2, task="", classes=names, positive=0, **parts)
    model = fresh()
    model.head = type(model.head)(4, 2)
    card = model_card(model, data, config, BEST, {"test": assess(model, data, "test")})
    assert "sensitivity is that for class 0, malignant" in card
    assert "| sensitivity | specificity |" in card


@pytest.mark.parametrize(
    ("name", "licence", "origin"),
    [
        ("digits", "CC BY 4.0", "scikit-learn"),
        ("breastmnist", "CC BY 4.0", "10519652"),
        ("pathmnist_64", "CC BY 4.0", "10519652"),
        ("dermamnist", "CC BY-NC 4.0", "10519652"),
        ("breastmnist_ours", "as the data's owner says", "breastmnist_ours"),
        ("breastmnist (folder)", "as the data's owner says", "folder"),
        ("my.package:load", "as the data's owner says", "my.package:load"),
    ],
)
def test_sources_and_licences(name, licence, origin):
    source = source_of(name)
    assert source.licence == licence
    assert origin in source.origin
