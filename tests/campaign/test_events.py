"""Events of image campaigns: beside the fields of a line, with rates; and journals without them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Workload, run_campaign, tasks
from faultsim.campaign import reproduce

EVENTS = ["top-1", "top-5", "confidence-10%", "confidence-20%"]


@pytest.fixture
def work() -> Workload:
    torch.manual_seed(0)
    pairs = [(torch.rand(n, 6), torch.arange(n) % 7) for n in (8, 5)]
    return Workload(nn.Linear(6, 7), pairs, tasks.Classification(7))


@pytest.fixture
def config(tmp_path) -> CampaignConfig:
    bits, out = "exponent", str(tmp_path / "a")
    return CampaignConfig(mode="random", trials=6, flips=(3,), bits=bits, out=out)


def lines_of(directory) -> list[dict]:
    return [json.loads(text) for text in (directory / "trials-0.jsonl").read_text().splitlines()]


def forget_events(directory, count: int) -> None:
    """Leaves the first lines of a journal, as earlier versions wrote them."""
    lines = lines_of(directory)[:count]
    for line in lines:
        del line["events"]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (directory / "trials-0.jsonl").write_text(text)


def test_events_are_counted_and_get_rates_with_intervals(work, config):
    result = run_campaign(config, work)
    lines = lines_of(result.directory)
    (cell,) = json.loads((result.directory / "summary.json").read_text())["cells"]
    assert list(cell["events"]) == EVENTS
    for name in EVENTS:
        counts = [line["events"][name] for line in lines]
        assert cell["events"][name]["value"] == pytest.approx(sum(counts) / 78)
        assert cell["events"][name]["low"] is not None
    for line in lines:
        assert line["events"]["top-1"] == line["sdc"]


def test_a_journal_without_events_is_resumed_and_reproduced(work, config):
    directory = run_campaign(config, work).directory
    whole = lines_of(directory)
    forget_events(directory, 4)
    run_campaign(replace(config, resume=True), work)
    lines = lines_of(directory)
    assert ["events" in line for line in lines] == [False] * 4 + [True] * 2
    assert lines[4:] == whole[4:]
    (cell,) = json.loads((directory / "summary.json").read_text())["cells"]
    late = sum(line["events"]["confidence-10%"] for line in lines[4:])
    assert cell["events"]["confidence-10%"]["value"] == pytest.approx(late / 26)
    assert cell["events"]["top-1"]["n"] == 2
    assert reproduce(directory, 1, work=work).differences == []


def test_without_any_events_the_summary_has_none(work, config):
    directory = run_campaign(config, work).directory
    forget_events(directory, 6)
    run_campaign(replace(config, resume=True), work)
    (cell,) = json.loads((directory / "summary.json").read_text())["cells"]
    assert "events" not in cell


def test_a_trial_whose_every_pass_raised_counts_no_event(config):
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.scale < 0:
                raise ValueError("negative")
            return x * self.scale

    work = Workload(Strict(), [(torch.rand(5, 3), torch.arange(5) % 3)], tasks.Classification(3))
    settings = {"mode": "exhaustive", "bits": "31", "trials": None, "flips": (1,)}
    (line,) = lines_of(run_campaign(replace(config, **settings), work).directory)
    assert (line["due"], line["raised"]) == (5, 5)
    assert line["events"] == dict.fromkeys(EVENTS, 0)
