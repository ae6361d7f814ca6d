"""What a campaign says of sick and healthy, and of images with several labels."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest
import torch

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign.directory import read_trials
from faultsim.data import Dataset, Split
from faultsim.errors import JournalError


@pytest.fixture
def two(dataset) -> Dataset:
    """A binary set whose disease is class 0."""
    parts = (dataset.train, dataset.val, dataset.test)
    splits = [Split(part.images, part.labels.clamp(max=1)) for part in parts]
    return Dataset("two", 2, *splits, classes=("sick", "well"), positive=0)


def test_binary_sets_are_summarised_with_their_diagnosis(two, tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    config = CampaignConfig(mode="random", bits="30", trials=6, flips=(1,), out=str(tmp_path / "a"))
    result = run_campaign(config, model=model, data=two)
    (cell,), journal = result.cells, read_trials(result.directory)
    assert result.directions == {"missed": "sick → well", "false_alarms": "well → sick"}
    assert list(msgspec.to_builtins(journal[0]))[-5:-1] == [
        "sensitivity",
        "specificity",
        "missed",
        "false_alarms",
    ]
    for name in ("missed", "false_alarms"):
        share = sum(getattr(row, name) for row in journal) / sum(row.n for row in journal)
        assert cell.diagnosis[name].value == pytest.approx(share)
    directions = cell.diagnosis["missed"].value + cell.diagnosis["false_alarms"].value
    assert directions == pytest.approx(cell.rates["sdc"].value)
    mean = sum(row.sensitivity for row in journal) / 6
    assert cell.diagnosis["sensitivity"].value == pytest.approx(mean)


def test_resume_refuses_another_positive_class(two, tmp_path):
    """It changes no word of the data, but what every line means."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    config = CampaignConfig(mode="random", trials=2, flips=(1,), out=str(tmp_path / "a"))
    run_campaign(config, model=model, data=two)
    with pytest.raises(JournalError, match="data positive = 0, now it is 1"):
        run_campaign(replace(config, resume=True), model=model, data=replace(two, positive=1))


def test_what_is_undefined_is_left_out_of_the_diagnosis(two, tmp_path):
    healthy = two.test.labels == 1
    well = Split(two.test.images[healthy], two.test.labels[healthy])
    data = Dataset("well", 2, two.train, two.val, well, positive=0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    config = CampaignConfig(mode="random", trials=2, flips=(1,), out=str(tmp_path / "a"))
    (cell,) = run_campaign(config, model=model, data=data).cells
    assert set(cell.diagnosis) == {"specificity", "missed", "false_alarms"}


def test_other_sets_have_no_diagnosis(model, dataset, tmp_path):
    config = CampaignConfig(mode="random", trials=2, flips=(1,), out=str(tmp_path / "a"))
    result = run_campaign(config, model=model, data=dataset)
    assert read_trials(result.directory)[0].missed is None
    assert result.directions == {}
    assert all(not cell.diagnosis for cell in result.cells)


@pytest.mark.parametrize("mode", ["random", "worst-case"])
def test_several_labels_run_through_a_campaign(mode, model, dataset, tmp_path):
    def several(part: Split) -> Split:
        return Split(part.images, torch.nn.functional.one_hot(part.labels, 3))

    data = Dataset("chest", 3, *map(several, (dataset.train, dataset.val, dataset.test)))
    config = CampaignConfig(mode=mode, trials=2, flips=(1,), out=str(tmp_path / "a"))
    result = run_campaign(config, model=model, data=data)
    manifest = json.loads((result.directory / "manifest.json").read_text())
    assert manifest["data"]["task"] == "multi-label"
    assert manifest["data"]["images"] == {"train": 30, "val": 18, "test": 24}
    for line in read_trials(result.directory):
        assert line.due + line.sdc + line.benign + line.masked == line.n
