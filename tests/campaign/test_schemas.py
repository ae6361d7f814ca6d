"""Real files of every mode fit their published schemas, and what readers refuse does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, Workload, run_campaign, tasks
from faultsim.campaign.schemas import TYPES, schema
from faultsim.cli.main import main
from faultsim.errors import ConfigError
from faultsim.faultmodels.loading import NAMES, SHIPPED
from faultsim.files.toml import tomllib

jsonschema = pytest.importorskip("jsonschema")

MODES = {
    "random": {"flips": (1, 2), "trials": 2, "observe": True},
    "layer-wise": {"trials": 2},
    "bit-wise": {"trials": 1},
    "exhaustive": {"bits": "30"},
    "estimate": {"margin": 0.3, "max_trials": 20},
    "worst-case": {"flips": (1,), "trials": 1},
    "from-file": {},
    "events": {"mode": "random", "fault_model": "seu", "trials": 2},
    "inference": {"mode": "random", "granularity": "inference", "trials": 2, "flips": (1,)},
    "operand": {"mode": "random", "op": "scale", "operand": 1e300, "trials": 2, "flips": (1,)},
    "task": {"mode": "random", "trials": 2, "flips": (1,)},
}


def valid(name: str, value: object) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(value)


@pytest.fixture(params=MODES)
def place(request, tmp_path) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    data = (torch.randn(8, 4), torch.arange(8) % 3)
    settings = {"mode": request.param, "out": str(tmp_path / "c")} | MODES[request.param]
    if request.param == "from-file":
        FaultSpace(model).sample(3, seed=1).save(tmp_path / "f.json")
        settings["faults"] = str(tmp_path / "f.json")
    task = tasks.Classification()
    if request.param == "task":
        task, data = tasks.Regression(), (data[0], torch.randn(8, 3))
    run_campaign(CampaignConfig(**settings), Workload(model, data, task, search=data))
    return tmp_path


def test_real_files_fit(place):
    directory = place / "c"
    for name in ("manifest", "summary"):
        valid(name, json.loads((directory / f"{name}.json").read_text()))
    for line in (directory / "trials-0.jsonl").read_text().splitlines():
        valid("journal", json.loads(line))
    observed = directory / "observed-0.jsonl"
    for line in observed.read_text().splitlines() if observed.exists() else ():
        valid("observed", json.loads(line))
    if (place / "f.json").exists():
        valid("faults", json.loads((place / "f.json").read_text()))


@pytest.mark.parametrize("name", NAMES)
def test_shipped_fault_models_fit(name):
    valid("fault-model", tomllib.loads((SHIPPED / f"{name}.toml").read_text()))


@pytest.mark.parametrize("name", TYPES)
def test_what_is_misspelt_does_not_fit(name):
    jsonschema.Draft202012Validator.check_schema(schema(name))
    with pytest.raises(jsonschema.ValidationError):
        valid(name, {"trail": 0})


def test_the_command_prints_them(capsys):
    assert main(["schema", "journal"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("journal")
    with pytest.raises(ConfigError, match="did you mean 'journal'"):
        schema("jurnal")
