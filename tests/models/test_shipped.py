"""Shipped checkpoints: small, with a card, and as good as their card says."""

from __future__ import annotations

import json
import os

import pytest
from safetensors import safe_open

from faultsim.cli import main
from faultsim.data import load_data
from faultsim.data.evaluation import assess
from faultsim.models import load_model
from faultsim.models.loading import SHIPPED

SETS = ("breastmnist", "pneumoniamnist", "retinamnist")
EVERY = ("digits", *SETS)
CHECKPOINTS = [SHIPPED / f"medmamba-n-{name}.safetensors" for name in EVERY]


def metadata(path):
    with safe_open(path, "pt") as file:
        return {key: json.loads(file.metadata()[key]) for key in ("recipe", "results")}


@pytest.mark.parametrize("path", CHECKPOINTS, ids=EVERY)
def test_a_shipped_checkpoint_is_small_and_has_a_card(path):
    assert path.stat().st_size <= 2_000_000
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "**Not for clinical use.**" in card
    assert "Licence of the data: CC BY 4.0" in card
    for split, figures in metadata(path)["results"].items():
        assert f"| {split} |" in card
        for figure in figures.values():
            assert f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]" in card


@pytest.mark.parametrize("path", CHECKPOINTS, ids=EVERY)
def test_a_shipped_checkpoint_reaches_its_recorded_figures(path):
    root = os.environ.get("FAULTSIM_MEDMNIST_ROOT")
    recorded = metadata(path)
    if root is None and recorded["recipe"]["data"] != "digits":
        pytest.skip("FAULTSIM_MEDMNIST_ROOT names no folder of MedMNIST files")
    data = load_data(recorded["recipe"]["data"], root)
    model = load_model(
        "medmamba-n", num_classes=data.num_classes, in_channels=data.in_channels, data=data.name
    )
    for split, figures in recorded["results"].items():
        fresh = assess(model, data, split)
        # One image more or less: another machine's convolutions may round differently.
        for name, figure in figures.items():
            assert fresh[name].value == pytest.approx(figure["value"], abs=1.5 / fresh[name].n)


@pytest.mark.parametrize("name", SETS)
def test_a_campaign_needs_nothing_but_the_name_of_the_data(name, tmp_path, monkeypatch):
    root = os.environ.get("FAULTSIM_MEDMNIST_ROOT")
    if root is None:
        pytest.skip("FAULTSIM_MEDMNIST_ROOT names no folder of MedMNIST files")
    home = tmp_path / "home" / ".medmnist"
    home.mkdir(parents=True)
    (home / f"{name}.npz").symlink_to(os.path.join(root, f"{name}.npz"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    flags = ["--mode", "random", "--flips", "1", "--trials", "2", "--limit", "8"]
    assert main(["campaign", "--model", "medmamba-n", "--data", name, *flags]) == 0
    assert (tmp_path / "runs" / f"random-medmamba-n-{name}-1" / "summary.json").exists()
