"""Forecasts: the pilot is the beginning of the campaign, and tells what the margin takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Workload, run_campaign, tasks
from faultsim.campaign.planning import forecast
from faultsim.cli.main import main
from faultsim.stats import sample_size


def workload() -> Workload:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    return Workload(model, (torch.randn(10, 4), torch.arange(10) % 3), tasks.Classification())


def test_the_pilot_is_what_the_campaign_begins_with(tmp_path):
    settings = {"mode": "estimate", "margin": 0.01, "confidence": 0.99}
    found = forecast(CampaignConfig(**settings), 64, workload())
    run = run_campaign(
        CampaignConfig(**settings, max_trials=64, out=str(tmp_path / "c")), workload()
    )
    assert found.pilot == run.estimate
    assert found.population == 51 * 32 * 10
    assert found.classical == sample_size(0.01, 0.99, found.population)
    assert 0 < found.stratified < found.classical
    assert found.known <= found.classical
    assert found.seconds > 0
    assert replace(found, workers=2).time(10) == 5 * found.seconds


def test_a_relative_margin_is_of_the_rate_of_the_pilot():
    config = CampaignConfig(mode="estimate", relative=0.5)
    found = forecast(config, 300, workload())
    assert found.margin == pytest.approx(0.5 * found.pilot.value)


def test_bits_with_a_margin_of_their_own_take_more():
    settings = {"mode": "estimate", "margin": 0.01, "by": "bit"}
    whole = forecast(CampaignConfig(**settings), 64, workload())
    parts = forecast(CampaignConfig(**settings, part_margin=0.02), 64, workload())
    bits = 32 * sample_size(0.02, 0.95, whole.population // 32)
    assert parts.classical == max(bits, whole.classical)
    assert whole.stratified < parts.stratified < parts.classical


@pytest.mark.parametrize("mode", ["random", "exhaustive"])
def test_only_an_estimate_can_be_planned(mode, capsys):
    assert main(["plan", "--mode", mode]) == 2
    assert "has no margin to plan for" in capsys.readouterr().err


def test_the_command_tells_trials_and_time(capsys):
    arguments = ["--limit", "4", "--margin", "0.05", "--pilot", "3", "--include", "head"]
    assert main(["plan", *arguments]) == 0
    said = capsys.readouterr().out
    assert "classical formula" in said


def test_a_pilot_without_a_failure_does_not_promise_that_there_is_none():
    config = CampaignConfig(mode="estimate", margin=0.1, bits="mantissa")
    found = forecast(config, 20, workload())
    assert found.pilot.value == 0
    at_most = sample_size(0.1, 0.95, found.population, min(found.pilot.high, 0.5))
    assert found.known == at_most > 1


def test_the_command_says_what_ends_it_sooner_or_tells_all(capsys):
    few = ["--limit", "1", "--include", "head.bias", "--bits", "sign", "--pilot", "3"]
    assert main(["plan", "--margin", "0.001", *few, "--max-trials", "5"]) == 0
    told = capsys.readouterr().out
    assert "--max-trials 5 ends it before that" in told
    assert "--mode exhaustive tries all" in told
    assert main(["plan", "--margin", "0.3", "--limit", "4", "--pilot", "3"]) == 0
    told = capsys.readouterr().out
    assert "--max-trials" not in told
    assert "exhaustive" not in told
    assert "four times" not in told
    assert main(["plan", "--part-margin", "0.3", "--limit", "4", "--pilot", "3"]) == 0
    assert "it guesses too few" in capsys.readouterr().out
