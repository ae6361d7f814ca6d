"""Perturbed test images, beside the clean ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faultsim import metrics
from faultsim.config import PerturbConfig
from faultsim.data import Split
from faultsim.errors import ConfigError, JournalError
from faultsim.evaluation import changes_of, figures_of
from faultsim.perturb import pgd
from faultsim.robustness import run_perturbations

ATTACKS = ("pgd:eps=0.1,step=0.05,steps=2", "gaussian-noise:sigma=0.3")


@pytest.fixture
def run(model, dataset, tmp_path):
    def go(**settings):
        usual = {"attack": ATTACKS, "out": str(tmp_path / "a")}
        live = {"model": model, "data": dataset}
        live |= {key: settings.pop(key) for key in ("progress", "data") if key in settings}
        return run_perturbations(PerturbConfig(**{**usual, **settings}), **live)

    return go


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_rows_are_the_figures_of_the_perturbed_images(run, model, dataset):
    result = run()
    test = dataset.test
    moved = pgd(model, test.images, test.labels, eps=0.1, step=0.05, steps=2)
    with torch.no_grad():
        clean, logits = model(test.images), model(moved)
    row = result.record["rows"][0]
    figures, changes = (
        figures_of(logits, test.labels, dataset),
        changes_of(clean, logits, test.labels),
    )
    assert row["accuracy"] == figures["accuracy"].to_json()
    assert row["auc"]["value"] == pytest.approx(figures["AUC"].value, abs=1e-3)
    assert row["accuracy_change"] == changes["accuracy"].to_json()
    assert row["parameters"] == {"eps": 0.1, "step": 0.05, "steps": 2, "random_start": False}
    assert row["n"] == len(test)
    assert result.record["clean"]["accuracy"]["value"] == metrics.accuracy(clean, test.labels)


def test_every_record_names_all_settings(run):
    rows = run(attack=("patch-drop", "defocus-blur:severity=2")).record["rows"]
    assert [row["parameters"]["fraction"] for row in rows[:-1]] == [0.1, 0.25, 0.5, 0.75, 0.9]
    assert all(row["parameters"]["grid"] == 7 for row in rows[:-1])
    blur = {"radius": 0.4, "alias_sigma": 0.5, "severity": 2, "profile": "cifar-10-c"}
    assert rows[-1]["parameters"] == blur


def test_the_file_is_the_record_and_repeats(run):
    result = run()
    assert read(result.path) == json.loads(json.dumps(result.record))
    again = run(out=str(result.path.parent / "b"))
    assert {**again.record, "config": None} == {**result.record, "config": None}
    assert "out" not in result.record["config"]


def test_progress_names_each_setting_before_it_is_tried(run):
    calls = []
    run(progress=lambda *setting: calls.append(setting))
    assert [(done, total) for _, done, total in calls] == [(0, 2), (1, 2)]
    assert calls[1][0] == "gaussian-noise:sigma=0.3"


def test_an_interrupted_record_is_resumed_and_equals_a_whole_one(run, tmp_path, monkeypatch):
    whole = run(out=str(tmp_path / "whole"))

    def interrupt(setting: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=interrupt)
    half = read(tmp_path / "a" / "perturb.json")
    assert [row["kind"] for row in half["rows"]] == ["pgd"]
    monkeypatch.setattr("faultsim.perturb.perturbation.pgd", None)  # done already
    run(resume=True)
    assert (tmp_path / "a" / "perturb.json").read_bytes() == whole.path.read_bytes()


def test_another_study_is_not_resumed(run, dataset):
    run()
    with pytest.raises(ConfigError, match="give --resume"):
        run()
    with pytest.raises(JournalError, match="seed = 0, now it is 1"):
        run(resume=True, seed=1)
    other = replace(dataset, test=Split(dataset.test.images * 0.5, dataset.test.labels))
    with pytest.raises(JournalError, match="data digest"):
        run(resume=True, data=other)


def test_bad_settings_are_told_before_anything_is_written(run, tmp_path):
    with pytest.raises(ConfigError, match="unknown perturbation"):
        run(attack=("pdg",))
    assert not (tmp_path / "a").exists()
    with pytest.raises(ConfigError, match="cannot write"):
        run(out="/proc/nothing/here")
    with pytest.raises(JournalError, match="cannot be resumed"):
        run(resume=True)


def test_without_a_folder_nothing_is_written(run):
    assert run(out=None).path is None
