"""Campaigns that draw the events of a fault model: cells, refusals, resume, reproduce."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from faultsim import CampaignConfig, FaultSpace, run_campaign
from faultsim.campaign import reproduce
from faultsim.campaign.directory import read_campaign
from faultsim.errors import ConfigError, FaultError, JournalError
from faultsim.faultmodels import Sampler, load_fault_model

MINE = """
source = "a test"
fit_per_mbit = {rate}
[[event]]
probability = 0.5
pattern = "line"
bytes = 16
density = 0.5
[[event]]
probability = 0.5
pattern = "adjacent-bits"
width = {{ 1 = 0.5, 2 = 0.5 }}
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE.format(rate=1000.0))
    return path


@pytest.fixture
def campaign(model, dataset, tmp_path):
    def run(**settings):
        known = {"mode": "random", "trials": 6, "threads": 1, "out": str(tmp_path / "out")}
        config = CampaignConfig(**{**known, **settings})
        return run_campaign(config, model=model, data=dataset)

    return run


def lines_of(directory):
    return [json.loads(line) for line in (directory / "trials-0.jsonl").read_text().splitlines()]


def test_a_trial_is_what_the_sampler_draws(campaign, model, mine):
    result = campaign(fault_model=str(mine), events=(1, 3), seed=7)
    space = FaultSpace(model)
    draws = Sampler(load_fault_model(str(mine)), space, model)
    lines = lines_of(result.directory)
    assert [line["cell"] for line in lines] == [{"events": 1}] * 6 + [{"events": 3}] * 6
    for line in lines:
        drawn = draws.draw(line["cell"]["events"], seed=7, trial=line["trial"] % 6)
        assert line["faults"] == drawn.records()
        assert line["struck"] == list(drawn.events)
        assert line["flips"] == drawn.flips
    assert [cell.trials for cell in result.cells] == [6, 6]


def test_layers_and_bits_have_cells(campaign, tmp_path):
    layers = campaign(mode="layer-wise", fault_model="mbu", trials=1)
    assert {c.cell["layer"] for c in layers.cells} == {"conv", "norm", "(root)", "head"}
    bits = campaign(mode="bit-wise", fault_model="seu", trials=1, out=str(tmp_path / "bits"))
    assert [c.cell["bit"] for c in bits.cells] == list(range(32))
    for line in lines_of(tmp_path / "bits"):
        assert line["faults"][0]["mask"] == 1 << line["cell"]["bit"]


def test_what_does_not_fit_is_refused_before_a_trial(campaign, tmp_path):
    with pytest.raises(FaultError, match="2 adjacent bits fits nowhere in bit 0"):
        campaign(mode="bit-wise", fault_model="mbu")
    with pytest.raises(FaultError, match="fits nowhere in the space"):
        campaign(fault_model="hbm2", bits="exponent")
    assert not (tmp_path / "out").exists()


def test_hours_bring_a_poisson_number(campaign, model, mine, tmp_path):
    bits = len(FaultSpace(model))
    hours = 2 / (1000 * bits / 2**20 * 1e-9)  # two events on average
    result = campaign(fault_model=str(mine), hours=hours, trials=60)
    numbers = np.array([len(line["struck"]) for line in lines_of(result.directory)])
    assert abs(numbers.mean() - 2) < 4 * (2 / 60) ** 0.5
    assert (numbers == 0).any()
    assert result.cells[0].cell == {"hours": hours}
    fewer = campaign(
        fault_model=str(mine), hours=hours, trials=60, fit_per_mbit=0.0, out=str(tmp_path / "b")
    )
    assert all(not line["faults"] for line in lines_of(fewer.directory))
    assert fewer.cells[0].rates["masked"].value == 1
    with pytest.raises(ConfigError, match="fault model hbm2 has none: give --fit-per-mbit"):
        campaign(fault_model="hbm2", hours=1.0)
    with pytest.raises(FaultError, match="events a trial are too many"):
        campaign(fault_model=str(mine), hours=1e15, out=str(tmp_path / "c"))


def test_resumed_and_extended_campaigns_are_as_those_of_one_go(campaign, mine, tmp_path):
    whole = campaign(fault_model=str(mine), events=(1, 2))
    torn = tmp_path / "torn"
    shutil.copytree(whole.directory, torn)
    text = (torn / "trials-0.jsonl").read_bytes()
    (torn / "trials-0.jsonl").write_bytes(text[: len(text) // 2])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = shutil.move(mine, elsewhere / "mine.toml")
    campaign(fault_model=str(moved), events=(1, 2), out=str(torn), resume=True)
    for name in ("trials-0.jsonl", "summary.json", "manifest.json"):
        assert (torn / name).read_bytes() == (whole.directory / name).read_bytes()
    more = campaign(fault_model=str(moved), events=(1, 2), out=str(torn), resume=True, trials=8)
    fresh = campaign(fault_model=str(moved), events=(1, 2), out=str(tmp_path / "f"), trials=8)
    assert lines_of(more.directory) == lines_of(fresh.directory)


def test_another_fault_model_is_not_gone_on_with(campaign, mine):
    campaign(fault_model=str(mine))
    mine.write_text(MINE.format(rate=1.0))
    with pytest.raises(JournalError, match="was begun with fault_model digest"):
        campaign(fault_model=str(mine), resume=True)
    with pytest.raises(JournalError, match="config fault_model = mine, now it is seu"):
        campaign(fault_model="seu", resume=True)


def test_a_trial_is_reproduced_without_the_file(campaign, model, dataset, mine):
    directory = campaign(fault_model=str(mine), events=(2,)).directory
    mine.unlink()
    again = reproduce(directory, 3, model=model, data=dataset)
    assert not again.differences
    assert list(again.struck) == lines_of(directory)[3]["struck"]
    recorded = read_campaign(directory).manifest.fault_model
    assert recorded is not None
    assert recorded.content.name == "mine"
    assert recorded.digest == recorded.content.digest


def test_replay_makes_no_difference(campaign, tmp_path):
    quick = campaign(fault_model="gpu-sdc", target="activations")
    whole = campaign(
        fault_model="gpu-sdc", target="activations", replay=False, out=str(tmp_path / "b")
    )
    assert lines_of(quick.directory) == lines_of(whole.directory)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "worst-case"}, "takes random, layer-wise or bit-wise"),
        ({"mode": "estimate", "margin": 0.1}, "does not go with --mode estimate"),
        ({"op": "zero"}, "--op zero does not go with --fault-model"),
        ({"ber": 1e-6}, "--ber does not go with --fault-model"),
        ({"flips": (8,)}, "--events says how many there are"),
        ({"direction": "0to1"}, "--direction does not go"),
        ({"events": ()}, "--events needs one or more"),
        ({"events": (2,), "hours": 1.0}, "give one"),
        ({"hours": 1.0, "target": "activations"}, "--hours needs --target weights"),
        ({"fault_model": None, "events": (2,)}, "--events goes with --fault-model"),
        ({"fault_model": None, "hours": 2.0}, "--hours goes with --fault-model"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    known = {"mode": "random", "fault_model": "seu"}
    with pytest.raises(ConfigError, match=message):
        CampaignConfig(**{**known, **settings})


def test_settings_of_old_campaigns_are_taken(campaign):
    """Those recorded before there were fault models."""
    result = campaign(flips=(1,))
    path = result.directory / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("fault_model", "events", "hours", "fit_per_mbit"):
        del manifest["config"][name]
    del manifest["space"]["layers"]
    path.write_text(json.dumps(manifest))
    again = campaign(flips=(1,), resume=True)
    assert again.cells[0].trials == result.cells[0].trials
    assert replace(again, directory=result.directory) == result
