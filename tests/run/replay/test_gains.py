"""Cuts are kept where they were measured to pay, which decides about time alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Workload, run_campaign, tasks
from faultsim.run import engine, timing
from faultsim.run.replay import Prefix, decisions, gains


class Clock:
    """Time that passes as runs say."""

    def __init__(self, monkeypatch):
        self.now, self.runs = 0.0, []
        monkeypatch.setattr(timing.time, "process_time", lambda: self.now)

    def run(self, name, *durations):
        left = list(durations)

        def running():
            self.runs.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return running


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_what_is_slower_than_the_whole_is_dropped(clock):
    parts = {9: clock.run("last", 1), 5: clock.run("middle", 9.9), 2: clock.run("first", 11)}
    assert gains.that_pay(clock.run("whole", 10), parts) == [9]
    assert clock.runs.count("last") == 1  # which was clear at once
    assert clock.runs.count("first") == gains.ROUNDS


def test_one_slow_round_does_not_decide(clock):
    parts = {4: clock.run("part", 30, 6)}
    assert gains.that_pay(clock.run("whole", 10), parts) == [4]


def test_a_model_without_gain_is_run_whole_and_says_so(monkeypatch):
    monkeypatch.setattr(gains, "ENOUGH", 0.0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    prefix = Prefix(model, torch.rand(4, 8), 4, measured=True)
    assert prefix.cuts == []
    assert prefix.lost["all of it"] == "no part of it was measured to be faster than the whole"
    assert gains.NO_GAIN in {each.why for each in decisions(prefix)}


@pytest.mark.parametrize("measured", [True, False])
def test_a_journal_does_not_depend_on_it(monkeypatch, tmp_path, measured):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3)).eval()
    data = torch.rand(20, 8), torch.arange(20) % 3
    work = Workload(model, data, tasks.Classification())
    journals = []
    for wins in (measured, not measured):
        monkeypatch.setattr(engine, "MEASURED", wins)
        config = CampaignConfig(mode="random", trials=4, out=str(tmp_path / str(wins)))
        journals.append((run_campaign(config, work).directory / "trials-0.jsonl").read_bytes())
    assert journals[0] == journals[1]


def test_what_is_known_to_be_clear_is_not_run_again(clock):
    parts = {9: clock.run("last", 1), 5: clock.run("middle", 6)}
    assert gains.that_pay(clock.run("whole", 10), parts, {9: 1.0, 5: 30.0}) == [9, 5]
    assert clock.runs == ["whole", "middle"]
