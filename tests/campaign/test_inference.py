"""Campaigns whose trials are one sample each, against real flips and campaigns of whole sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, Workload, run_campaign, tasks
from faultsim.campaign import reproduce
from faultsim.errors import ConfigError
from faultsim.run import engine
from faultsim.run.carried import gains, trials
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial


class Net(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def workload(samples: int = 10) -> Workload:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(samples, 1, 5, 5, generator=generator)
    labels = torch.arange(samples) % 3
    batches = list(zip(images.split(4), labels.split(4), strict=True))  # the last is smaller
    return Workload(Net().eval(), batches, tasks.Classification())


def campaign(out: Path, **settings):
    known = {"mode": "random", "flips": (1, 2), "trials": 60, "granularity": "inference"}
    return run_campaign(CampaignConfig(**{**known, **settings}, out=str(out)), workload())


def lines_of(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "trials-0.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("mode", "target"),
    [("random", "weights"), ("layer-wise", "activations"), ("bit-wise", "weights")],
)
def test_resumed_and_reproduced(tmp_path, mode, target):
    bits = {"mode": mode, "target": target, "trials": 3, "flips": (1, 2), "bits": "28-31"}
    whole = campaign(tmp_path / "whole", **bits)
    assert all(line["n"] == 1 and 0 <= line["sample"] < 10 for line in lines_of(tmp_path / "whole"))
    assert {cell.trials for cell in whole.cells} == {3}
    journal = (tmp_path / "whole" / "trials-0.jsonl").read_bytes()
    campaign(tmp_path / "cut", **bits)
    cut = tmp_path / "cut" / "trials-0.jsonl"
    cut.write_bytes(journal[: len(journal) // 2])
    campaign(tmp_path / "cut", **bits, resume=True)
    assert cut.read_bytes() == journal
    for number in (0, 5):
        assert not reproduce(tmp_path / "whole", number, work=workload()).differences


def test_more_trials_begin_with_the_same(tmp_path):
    campaign(tmp_path / "c", trials=20)
    campaign(tmp_path / "c", trials=60, resume=True)
    campaign(tmp_path / "all")
    journals = [(tmp_path / name / "trials-0.jsonl").read_bytes() for name in ("c", "all")]
    assert journals[0] == journals[1]


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_journal_does_not_depend_on_what_is_faster(tmp_path, monkeypatch, target):
    """Nor on where passes begin: from any cut, from the start, one by one, or as measured."""
    monkeypatch.setattr(engine, "MEASURED", False)
    journals = set()
    for name in ("carried", "flipped", "measured"):
        monkeypatch.setattr(trials, "MEASURED", name != "carried")
        monkeypatch.setattr(gains, "ENOUGH", 0.0 if name == "flipped" else 0.98)
        for replay in (True, False):
            out = tmp_path / f"{name}{replay}"
            campaign(out, target=target, replay=replay, trials=30)
            journals.add((out / "trials-0.jsonl").read_bytes())
    assert len(journals) == 1


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_both_granularities_have_the_same_mean(target):
    """Over all faults and samples: exactly, count by count."""
    work = workload(6)
    experiment = Experiment(work)
    space = FaultSpace(work.model, target, "30", inputs=experiment.first_inputs())
    faults = [space.locate([position]) for position in range(0, len(space), 3)]
    whole = [experiment.run(Trial(each, {})) for each in faults]
    pairs = [Trial(each, {}, sample=n) for each in faults for n in range(6)]
    single = list(experiment.outcomes(pairs))
    for name in ("due", "sdc", "benign", "masked"):
        of_set = [getattr(outcome, name) for outcome in whole]
        each = [getattr(outcome, name) for outcome in single]
        assert of_set == [sum(each[n : n + 6]) for n in range(0, len(each), 6)]
    worst = [max(o.max_dev for o in single[n : n + 6]) for n in range(0, len(single), 6)]
    assert [o.max_dev for o in whole] == worst


def test_rates_are_those_of_single_trials(tmp_path):
    result = campaign(tmp_path / "c", flips=(1,), trials=200, bits="exponent")
    (cell,) = result.cells
    lines = lines_of(tmp_path / "c")
    for name, rate in cell.rates.items():
        assert rate.n == 200
        assert rate.value == sum(line[name] for line in lines) / 200
        assert rate.method == "Clopper-Pearson"
    unharmed = cell.rates["benign"].value + cell.rates["masked"].value
    assert cell.accuracy.value == pytest.approx(unharmed)


def test_given_sets_have_a_sample_each(tmp_path):
    work = workload()
    space = FaultSpace(work.model)
    sets = [space.sample(1, seed=0, trial=n) for n in range(5)]
    config = CampaignConfig(mode="random", granularity="inference", out=str(tmp_path / "c"))
    run_campaign(config, work, trials=sets)
    lines = lines_of(tmp_path / "c")
    assert [line["faults"] for line in lines] == [each.records() for each in sets]
    assert len({line["sample"] for line in lines}) > 1


@pytest.mark.parametrize("settings", [
    {"mode": "worst-case"}, {"mode": "exhaustive"}, {"mode": "random", "observe": True},
])  # fmt: skip
def test_what_needs_many_samples_is_refused(settings):
    with pytest.raises(ConfigError, match="--granularity inference"):
        CampaignConfig(granularity="inference", **settings)
