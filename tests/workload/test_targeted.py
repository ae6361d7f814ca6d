"""A classification under a targeted attack."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from faultsim import CampaignConfig, Workload
from faultsim.campaign import run_campaign
from faultsim.campaign.directory import TRIALS
from faultsim.data.workload import ImageWorkload
from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.tasks import Classification
from faultsim.workload.tasks.targeted import Targeted

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
FOUND = torch.tensor([1, 0, 1, 0, 1, 2])
ROWS = torch.nn.functional.one_hot(FOUND, 3).float() * 4
BATCH = Batch(None, LABELS, 6)


@pytest.mark.parametrize(
    ("source", "stealthy", "success", "kept", "unmet"),
    [
        (None, False, 2 / 4, 1 / 2, 1 / 2),  # of classes 0 and 2, two of four are taken for 1
        (0, False, 1 / 2, 2 / 4, 1 / 2),
        (0, True, 1 / 2, 2 / 4, 1 / 2),
        (2, True, 1 / 2, 2 / 4, 1 / 2),
    ],
)
def test_figures_by_hand(source, stealthy, success, kept, unmet):
    figures = Targeted(Classification(3), 1, source, stealthy=stealthy).scores([ROWS], [BATCH])
    assert figures["attack_success"] == success
    assert figures["kept"] == kept
    assert figures["unmet"] == unmet
    assert figures["acc"] == 3 / 6


def test_loss_by_hand():
    right, wrong = (-math.log(math.exp(x) / (math.exp(4) + 2)) for x in (4, 0))
    one_to_one = Targeted(Classification(3), 1, 0).loss(ROWS, BATCH)
    stealthy = Targeted(Classification(3), 1, 0, stealthy=True).loss(ROWS, BATCH)
    assert float(one_to_one) == pytest.approx(-(right + wrong) / 2, rel=1e-5)
    assert float(stealthy) == pytest.approx(-(right + wrong), rel=1e-5)


def lines(config: CampaignConfig, work: Workload) -> list[dict]:
    run_campaign(config, work)
    text = (Path(config.out or "") / TRIALS).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_search_reaches_the_class_that_is_wanted(model, dataset, tmp_path):
    for target in range(3):
        out = str(tmp_path / str(target))
        config = CampaignConfig(target_class=target, flips=(3,), trials=2, out=out)
        work = ImageWorkload(model, dataset)
        found = [line["metrics"] for line in lines(config, work) if line["cell"] == CELL]
        assert found[0]["attack_success"] == 1.0
        assert isinstance(work.task, Classification)  # as it was given


CELL = {"curve": "worst-case", "flips": 3}


def test_refusals(model, dataset):
    work = ImageWorkload(model, dataset)
    with pytest.raises(ConfigError, match="--target-class 3: the model has 3 classes, 0 to 2"):
        run_campaign(CampaignConfig(target_class=3), work)
    with pytest.raises(ConfigError, match="a targeted attack needs a classification, one class"):
        run_campaign(
            CampaignConfig(target_class=1), Workload(model, torch.rand(2, 1, 8, 8), lambda *_: None)
        )
    with pytest.raises(ConfigError, match="samples of class 2, and no validation sample is one"):
        run_campaign(CampaignConfig(target_class=1, source_class=2, limit=2), work)
    with pytest.raises(ConfigError, match="of a class but 0, and no validation sample is one"):
        run_campaign(CampaignConfig(target_class=0, limit=1), work)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source_class": 1}, "--source-class goes with --target-class"),
        ({"stealthy": True}, "--stealthy goes with --target-class"),
        ({"target_class": 1, "mode": "random"}, "does not go with --mode random"),
        ({"target_class": 1, "source_class": 1}, "are both 1"),
        ({"target_class": 1, "stealthy": True}, "--stealthy needs --source-class"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        CampaignConfig(**settings)
