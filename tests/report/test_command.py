"""The command line given on the page parses back to the recorded settings."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict

import pytest

from faultsim import CampaignConfig
from faultsim.campaign.manifest import TRANSIENT
from faultsim.cli.main import parse
from faultsim.config import PerturbConfig
from faultsim.report.command import command_line

SETTINGS = [
    {},
    {"mode": "random", "flips": (1, 16), "seed": 7, "limit": 100},
    {"mode": "layer-wise", "ber": 1e-6, "target": "activations"},
    {"model": "my nets:make it", "data": "it's/mine.npz", "include": ("head.*", "a b")},
    {"allow_nonfinite": True, "bits": "23-30", "direction": "0to1", "device": "cpu", "threads": 3},
    {"mode": "from-file", "faults": "f.json"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_gives_the_settings_back(settings):
    config = CampaignConfig(**settings)
    command = command_line(json.loads(json.dumps(asdict(config))))
    program, *words = shlex.split(command)
    assert program == "faultsim"
    given = parse(words)
    recorded = {name: value for name, value in asdict(config).items() if name not in TRANSIENT}
    assert {name: getattr(given, name) for name in recorded} == recorded
    assert command.count("--") == len(settings)  # what is default goes unsaid


def test_settings_that_came_later_are_given_too():
    assert command_line({"perturb": "pgd:eps=1/255"}) == "faultsim campaign --perturb pgd:eps=1/255"
    assert command_line({"perturb": None}) == "faultsim campaign"


def test_a_perturbation_run_reads_its_own_command_back():
    config = PerturbConfig(data="breastmnist", attack=("pgd:eps=1/255,steps=3", "fgsm"), seed=4)
    words = shlex.split(command_line(json.loads(json.dumps(asdict(config))), PerturbConfig))
    assert words[:2] == ["faultsim", "perturb"]
    parsed = parse(words[1:])
    assert {name: getattr(parsed, name) for name in asdict(config)} == asdict(config)
