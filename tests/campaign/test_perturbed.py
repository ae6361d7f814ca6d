"""Campaigns on perturbed images."""

from __future__ import annotations

import json

import pytest

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign import reproduce
from faultsim.errors import ConfigError, JournalError

PGD = "pgd:eps=0.1,steps=2"


@pytest.fixture
def run(model, dataset, tmp_path):
    def go(name: str = "a", **settings):
        usual = {"mode": "random", "trials": 4, "flips": (8,), "perturb": PGD}
        config = CampaignConfig(**{**usual, **settings}, out=str(tmp_path / name))
        return run_campaign(config, model=model, data=dataset)

    return go


def lines(result) -> list[dict]:
    text = (result.directory / "trials-0.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("attack_model", ["golden", "faulty"])
def test_the_excess_is_that_of_the_same_trials(run, attack_model):
    """The loss under both, beyond the sum of the loss under each: the 2 x 2 of every trial."""
    both, alone = run("both", attack_model=attack_model), run("alone", perturb=None)
    for joint, single in zip(lines(both), lines(alone), strict=True):
        assert joint["faults"] == single["faults"]
        assert joint["clean_acc"] == single["acc"]
    c, p = both.clean.acc, both.golden.acc
    assert c == alone.golden.acc
    pairs = zip(lines(both), lines(alone), strict=True)
    excess = [(c - j["acc"]) - (c - f["acc"]) - (c - p) for j, f in pairs]
    cell = both.cells[0]
    assert cell.interplay["excess"].value == pytest.approx(sum(excess) / 4)
    assert cell.interplay["faults_alone"].value == pytest.approx(alone.cells[0].accuracy.value)
    assert cell.interplay["excess"].n == 4


def test_without_a_perturbation_there_is_no_word_of_it(run):
    result = run(perturb=None)
    assert result.clean is None
    assert not result.cells[0].interplay
    assert "clean_acc" not in lines(result)[0]


def test_the_manifest_names_every_setting_and_the_clean_run(run):
    result = run()
    manifest = json.loads((result.directory / "manifest.json").read_text())
    resolved = "pgd:eps=0.1,step=0.025,steps=2,random_start=false"
    assert manifest["config"]["perturb"] == resolved
    assert manifest["clean"] == result.clean.to_json()
    summary = json.loads((result.directory / "summary.json").read_text())
    assert summary["clean"]["acc"] == result.clean.acc
    assert set(summary["cells"][0]["interplay"]) == {"faults_alone", "excess"}


@pytest.mark.parametrize("mode", ["random", "worst-case"])
@pytest.mark.parametrize("perturb", [PGD, "gaussian-noise:sigma=0.2"])
def test_resuming_gives_the_same_bytes(run, mode, perturb):
    settings = {"mode": mode, "perturb": perturb, "flips": (1, 2), "include": ("gain", "head")}
    result = run(**settings)
    path = result.directory / "trials-0.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    again = run(**settings, resume=True)
    assert path.read_bytes() == whole
    assert again.cells == result.cells


def test_another_perturbation_is_not_resumed(run):
    run()
    with pytest.raises(JournalError, match="config perturb"):
        run(perturb="fgsm", resume=True)
    with pytest.raises(JournalError, match="config attack_model"):
        run(attack_model="faulty", resume=True)


@pytest.mark.parametrize("perturb", [None, "gaussian-noise:severity=2", "patch-drop:fraction=0.5"])
def test_only_an_attack_has_a_model_to_look_at(run, perturb, tmp_path):
    with pytest.raises(ConfigError, match="needs --perturb with an attack"):
        run(perturb=perturb, attack_model="faulty")


def test_a_wrong_perturbation_is_told_before_anything_is_written(run, tmp_path):
    with pytest.raises(ConfigError, match="unknown perturbation"):
        run(perturb="blur")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("attack_model", ["golden", "faulty"])
def test_a_recorded_trial_is_reproduced(tmp_path, attack_model):
    settings = {"mode": "random", "trials": 2, "flips": (16,), "limit": 6, "perturb": "fgsm"}
    out = str(tmp_path / "named")
    run_campaign(CampaignConfig(**settings, attack_model=attack_model, out=out))
    again = reproduce(out, 1)
    assert not again.differences
    assert again.again.clean_acc is not None
