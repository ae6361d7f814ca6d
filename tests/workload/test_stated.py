"""An attack on stated samples: these are to fail, and of a stealthy one the others stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Workload
from faultsim.campaign import run_campaign
from faultsim.campaign.directory import TRIALS
from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.stated import Stated
from faultsim.workload.tasks import Classification
from faultsim.workload.tasks.targeted import Targeted, marked

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
FOUND = torch.tensor([1, 0, 1, 0, 1, 2])
ROWS = torch.nn.functional.one_hot(FOUND, 3).float() * 4
BATCH = Batch(None, marked(LABELS, torch.tensor([1, 1, 0, 0, 0, 1]).bool()), 6)


class Table(nn.Module):
    """Logits of a sample are a row of its own: a flip changes one sample, by what is known."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(numbers[:, 0].long(), len(self.rows)).float() @ self.rows


def table(shared: float = 0.0) -> Workload:
    """Eight samples of three classes, all classified right; four more to search on."""
    labels = torch.arange(12) % 3
    logits = torch.nn.functional.one_hot(labels, 3).float() * 2
    logits[:, 0] += shared
    numbers = torch.arange(12.0)[:, None]
    search = numbers[8:], labels[8:]
    task = Classification(3)
    return Workload(Table(logits), (numbers[:8], labels[:8]), task, search=search)


def found(work: Workload, tmp_path, **settings) -> dict:
    config = CampaignConfig(trials=1, bits="30", out=str(tmp_path / "run"), **settings)
    run_campaign(config, work)
    lines = (Path(config.out or "") / TRIALS).read_text().splitlines()
    wanted = {"curve": "worst-case", "flips": max(config.flips)}
    (line,) = [line for line in map(json.loads, lines) if line["cell"] == wanted]
    return line


@pytest.mark.parametrize(
    ("target", "stealthy", "success", "unmet"),
    [
        (None, False, 1 / 3, 2 / 3),  # of samples 0, 1 and 5 the first is taken for another class
        (1, False, 1 / 3, 2 / 3),
        (2, False, 1 / 3, 2 / 3),
        (None, True, 1 / 3, (2 / 3 + 2 / 3) / 2),
    ],
)
def test_figures_by_hand(target, stealthy, success, unmet):
    task = Targeted(Classification(3), target, stealthy=stealthy, stated=True)
    task.check(ROWS, BATCH)
    figures = task.scores([ROWS], [BATCH])
    assert figures["attack_success"] == pytest.approx(success)
    assert figures["kept"] == pytest.approx(1 / 3)  # of 2, 3 and 4 the first is right
    assert figures["unmet"] == pytest.approx(unmet)
    assert figures["acc"] == 3 / 6
    events = task.changed(ROWS, ROWS.flip(1), BATCH)
    assert events["top-1"].tolist() == (ROWS.flip(1).argmax(1) != FOUND).tolist()


def test_the_loss_grows_as_stated_samples_stray_and_others_stay():
    task = Targeted(Classification(3), None, stealthy=True, stated=True)
    rows = ROWS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(task.loss(rows, BATCH), rows)
    own = slope.gather(1, LABELS[:, None])[:, 0]
    assert ((own < 0) == torch.tensor([1, 1, 0, 0, 0, 1]).bool()).all()


def test_the_search_sees_the_stated_samples_first_and_others_of_its_own():
    work = table()
    plain, stealthy = (Stated(work, (5, 2), stealthy=each) for each in (False, True))
    (batch,) = plain.read("val")
    assert batch.inputs[:, 0].tolist() == [5, 2]
    assert batch.targets.tolist() == [[2, 1], [2, 1]]
    (batch,) = stealthy.read("val")
    assert batch.inputs[:, 0].tolist() == [5, 2, 8, 9, 10, 11]
    assert batch.targets[:, 1].tolist() == [1, 1, 0, 0, 0, 0]
    first, second = stealthy.read("test", batch_size=5)
    assert first.targets[:, 1].tolist() == [0, 0, 1, 0, 0]
    assert second.inputs[:, 0].tolist() == [5, 6, 7]
    assert second.targets[:, 1].tolist() == [1, 0, 0]


@pytest.mark.parametrize("target", [None, 0, 1])
def test_a_search_strikes_the_stated_samples_alone(tmp_path, target):
    """Each sample has words of its own here, so that any other fault would be a detour."""
    settings = {"target_samples": (2, 5), "target_class": target, "flips": (2,)}
    line = found(table(), tmp_path, **settings)
    assert line["metrics"]["attack_success"] == 1
    assert line["metrics"]["kept"] == 1
    assert {fault["index"] // 3 for fault in line["faults"]} == {2, 5}


def test_a_stealthy_search_leaves_what_strikes_all(tmp_path):
    """A bias fails every sample at once; a stealthy search takes the sample's own word instead."""

    class Biased(Table):
        def __init__(self, rows: torch.Tensor) -> None:
            super().__init__(rows)
            self.bias = nn.Parameter(torch.tensor([0.0, 0.5, 0.0]))

        def forward(self, numbers: torch.Tensor) -> torch.Tensor:
            return super().forward(numbers) + 3 * self.bias

    work = table()
    work.model = Biased(work.model.rows.detach())
    sites = [
        found(work, tmp_path / str(stealthy), target_samples=(2,), flips=(1,), stealthy=stealthy)
        for stealthy in (False, True)
    ]
    assert [line["faults"][0]["tensor"] for line in sites] == ["bias", "rows"]
    assert sites[1]["metrics"]["attack_success"] == sites[1]["metrics"]["kept"] == 1
    assert sites[0]["metrics"]["kept"] < 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_samples": (1,), "mode": "random"}, "--target-samples does not go with --mode"),
        ({"target_samples": (1, 2, 1)}, "--target-samples names 1 twice"),
        ({"target_samples": (-1,)}, "--target-samples must be at least 0"),
        ({"target_samples": (1,), "target_class": 1, "source_class": 0}, "--source-class does not"),
        ({"target_samples": (1,), "perturb": "fgsm"}, "--perturb does not go with"),
        ({"target_class": 1, "stealthy": True}, "--stealthy needs --source-class or --target-s"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        CampaignConfig(**settings)


def test_what_cannot_be_aimed_at(tmp_path):
    def attacked(work: Workload, *numbers: int) -> None:
        run_campaign(CampaignConfig(target_samples=numbers, stealthy=True), work)

    with pytest.raises(ConfigError, match="--target-samples 8: there are 8 samples, 0 to 7"):
        attacked(table(), 1, 8)
    one = table()
    with pytest.raises(ConfigError, match="has no val samples"):
        attacked(Workload(one.model, one.read("test"), one.task), 1)
    pairs = [((torch.rand(2, 1), torch.rand(2, 1)), torch.zeros(2).long())]
    with pytest.raises(ConfigError, match="rows of a tensor"):
        attacked(Workload(one.model, pairs, one.task), 1)
    with pytest.raises(ConfigError, match="a targeted attack needs a classification"):
        attacked(Workload(one.model, one.read("test"), lambda *_: None), 1)
    wide = Workload(one.model, one.read("test"), one.task, search=(torch.rand(2, 2), torch.ones(2)))
    with pytest.raises(ConfigError, match="--stealthy needs samples of one shape"):
        attacked(wide, 1)
