"""Campaigns that replay prefixes write what campaigns of whole models write."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, run_campaign
from faultsim.campaign import reproduce
from faultsim.data import Dataset, Split
from faultsim.data.workload import ImageWorkload
from faultsim.errors import ConfigError
from faultsim.models.medmamba import medmamba
from faultsim.perturb import Perturbation
from faultsim.run.attack import Attack
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial


@pytest.fixture
def scanner() -> nn.Module:
    torch.manual_seed(0)
    return medmamba("n", num_classes=3, in_channels=1, dims=(4, 8, 16, 32)).eval()


@pytest.fixture
def pictures() -> Dataset:
    generator = torch.Generator().manual_seed(4)

    def split(n: int) -> Split:
        return Split(torch.rand(n, 1, 16, 16, generator=generator), torch.arange(n) % 3)

    return Dataset("pictures", 3, split(6), split(10), split(14))


@pytest.fixture
def run(scanner, pictures, tmp_path):
    def go(name: str, **settings) -> bytes:
        usual = {"mode": "random", "trials": 3, "flips": (1, 3), "batch_size": 4}
        config = CampaignConfig(**{**usual, **settings}, out=str(tmp_path / name))
        run_campaign(config, model=scanner, data=pictures)
        return (tmp_path / name / "trials-0.jsonl").read_bytes()

    return go


ENDS = ("patch_embed", "layers.1", "head")  # and a middle: a search tries flips in every tensor
WORST = {"mode": "worst-case", "trials": 1, "limit": 6, "include": ENDS}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target": "activations"},
        {"target": "states"},
        {**WORST, "flips": (1, 2)},
        {**WORST, "flips": (1,), "target": "activations"},
        {"perturb": "pgd:steps=2"},
        {"perturb": "fgsm", "attack_model": "faulty", "trials": 2},
        {"ber": 1e-4, "flips": (1,)},
    ],
    ids=str,
)
def test_journals_are_the_same_byte_by_byte(run, settings):
    assert run("replayed", **settings) == run("whole", **settings, replay=False)


def test_a_campaign_goes_on_with_or_without_replay(run):
    whole = run("a", replay=False)
    assert run("a", resume=True) == whole
    assert run("a", resume=True, replay=False) == whole


def test_reproduce_runs_the_whole_model(tmp_path, monkeypatch):
    config = CampaignConfig(mode="random", trials=1, flips=(1,), limit=8, out=str(tmp_path / "a"))
    run_campaign(config)

    def never(*_):
        raise AssertionError("replayed")

    monkeypatch.setattr("faultsim.run.engine.Prefix", never)
    assert reproduce(tmp_path / "a", 0).differences == []


@pytest.mark.parametrize("attack", [None, Attack(Perturbation.parse("fgsm", 16))])
def test_trials_do_not_run_what_they_cannot_reach(scanner, pictures, attack):
    experiment = Experiment(ImageWorkload(scanner, pictures), batch_size=7, attack=attack)
    experiment.golden("test")
    faults = FaultSpace(scanner, include="head").sample(1, seed=0)
    counts = []
    handle = scanner.patch_embed.proj.register_forward_hook(lambda *_: counts.append(1))
    experiment.run(Trial(faults, {}))
    assert not counts
    # In another batch its images might be rounded otherwise.
    experiment.run(Trial(faults, {}, images=5))
    assert counts
    handle.remove()


def test_errors_of_the_model_are_told_as_without_replay(pictures):
    for replay in (True, False):
        with pytest.raises(ConfigError, match="the model fails on images of shape"):
            Experiment(ImageWorkload(nn.Linear(3, 3), pictures), replay=replay).golden("test")
