"""Perturbed test images, beside the clean ones."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from faultsim.config import PerturbConfig
from faultsim.data import Split
from faultsim.data.evaluation import Predictions
from faultsim.errors import ConfigError, JournalError
from faultsim.perturb import perturb_split, pgd
from faultsim.study.perturbations import run_perturbations
from faultsim.workload import metrics

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
    found = Predictions(logits, test.labels, dataset)
    figures, changes = found.figures(), found.changes(Predictions(clean, test.labels, dataset))
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

    def others(perturbation, *args, **options):
        assert perturbation.kind != "pgd", "it was done already"
        return perturb_split(perturbation, *args, **options)

    monkeypatch.setattr("faultsim.study.perturbations.perturb_split", others)
    run(resume=True)
    assert (tmp_path / "a" / "perturb.json").read_bytes() == whole.path.read_bytes()


def test_another_study_is_not_resumed(run, dataset):
    run()
    with pytest.raises(ConfigError, match="give --resume"):
        run()
    with pytest.raises(JournalError, match="config seed = 0, now it is 1"):
        run(resume=True, seed=1)
    other = replace(dataset, test=Split(dataset.test.images * 0.5, dataset.test.labels))
    with pytest.raises(JournalError, match="data digest"):
        run(resume=True, data=other)


def test_perturbations_can_be_added_to_a_record(run):
    run(attack=("fgsm",))
    record = run(attack=("patch-drop:fraction=0.5",), resume=True).record
    assert [row["kind"] for row in record["rows"]] == ["fgsm", "patch-drop"]
    assert record["config"]["attack"] == ["fgsm", "patch-drop:fraction=0.5"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"config": {"attack": []}, "rows": 1}'])
def test_what_is_no_record_is_not_resumed(run, tmp_path, text):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "perturb.json").write_text(text)
    with pytest.raises(JournalError, match=r"perturb\.json: "):
        run(resume=True)
    assert (tmp_path / "a" / "perturb.json").read_text() == text


def test_a_number_out_of_range_is_told_before_the_others_are_tried(run):
    with pytest.raises(ConfigError, match="sigma"):
        run(attack=("fgsm", "gaussian-noise:sigma=-1"), progress=lambda *setting: 1 / 0)


def test_a_model_that_has_no_gradient_is_named(run, dataset):
    class Detached(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(images.numpy().mean(axis=(1, 2))[:, :1].repeat(3, axis=1))

    config = PerturbConfig(attack=("fgsm",))
    with pytest.raises(ConfigError, match="the model fails under fgsm"):
        run_perturbations(config, model=Detached(), data=dataset)


def test_a_folder_that_goes_away_is_one_line(run, tmp_path):
    with pytest.raises(JournalError, match=r"cannot write .*perturb\.json"):
        run(progress=lambda *setting: shutil.rmtree(tmp_path / "a", ignore_errors=True))


def test_bad_settings_are_told_before_anything_is_written(run, tmp_path):
    with pytest.raises(ConfigError, match="unknown perturbation"):
        run(attack=("pdg",))
    assert not (tmp_path / "a").exists()
    with pytest.raises(ConfigError, match="cannot write"):
        run(out="/proc/nothing/here")
    with pytest.raises(JournalError, match="no record to go on with"):
        run(resume=True)


def test_without_a_folder_nothing_is_written(run):
    assert run(out=None).path is None
