"""The whole study, on a model that takes no time."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

from faultsim.config import StudyConfig
from faultsim.errors import ConfigError
from faultsim.study import run_study
from faultsim.study.plan import REAL, SMALL, read_plan

PLAN = """
limit = 9
perturb = ["fgsm:eps=0.1", "patch-drop:fraction=0.5"]
[campaigns.random]
mode = "random"
flips = [1, 4]
trials = 3
[campaigns.worst-case]
flips = [1]
trials = 2
include = ["2"]
"""


def made(num_classes: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, num_classes))


def rows(shift: float = 0.0):
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(12, 1, 8, 8, generator=generator), torch.arange(12) % 3
    return dict.fromkeys(("train", "val", "test"), (images * (1 - shift), labels))


def dim():
    return rows(0.5)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "own", sys.modules[__name__])
    (tmp_path / "plan.toml").write_text(PLAN)

    def go(**settings):
        usual = {
            "settings": str(tmp_path / "plan.toml"),
            "data": ("own:rows", "own:dim"),
            "model": "own:made",
            "out": str(tmp_path / "out"),
        }
        progress = settings.pop("progress", lambda step: None)
        return run_study(StudyConfig(**{**usual, **settings}), progress=progress)

    return go


def test_every_part_is_run_on_every_data_set(study):
    steps = []
    result = study(progress=lambda step: steps.append((step.data, step.part, step.done)))
    begun = list(dict.fromkeys(steps))
    parts = ("perturbations", "random", "worst-case")
    assert begun == [
        (name, part, 3 * i + j)
        for i, name in enumerate(("own.rows", "own.dim"))
        for j, part in enumerate(parts)
    ]
    for name, found in result.found.items():
        assert tuple(found) == parts
        record = json.loads((result.directory / f"study-{name}.json").read_text())
        assert [row["kind"] for row in record["perturbations"]["rows"]] == ["fgsm", "patch-drop"]
        assert record["perturbations"]["clean"]["n"] == 9
        cells = record["campaigns"]["random"]["cells"]
        assert [(cell["cell"]["flips"], cell["trials"]) for cell in cells] == [(1, 3), (4, 3)]
        assert record["campaigns"]["worst-case"]["config"]["include"] == ["2"]


def everything(directory) -> dict:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*.json*")}


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_an_interrupted_study_is_resumed_and_equals_a_whole_one(study, tmp_path, after):
    whole = everything(study(out=str(tmp_path / "whole")).directory)

    def interrupt(step) -> None:
        if step.done == after and (step.campaign or step.setting):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(progress=interrupt)
    assert everything(study(resume=True).directory) == whole


def test_a_study_is_not_overwritten_nor_resumed_from_nothing(study):
    with pytest.raises(ConfigError, match="holds no study"):
        study(resume=True)
    study()
    with pytest.raises(ConfigError, match="give --resume"):
        study()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("= 1", "cannot read"),
        ("perturb = 'pgd'", "must be a list"),
        ("speed = 1", "unknown setting 'speed'"),
        ("flips = [1]", "belongs in"),
        ("[campaigns]\na = 1", "campaigns.a must be a table"),
        ("[campaigns.a]\nmode = 'worst'", "campaigns.a: mode = 'worst' does not fit"),
        ("[campaigns.a]\ntrials = 0", "campaigns.a: --trials must be at least 1"),
        ("[campaigns.a]\ndata = 'digits'", "campaigns.a: data is a setting of the whole study"),
        ("limit = 0", "limit"),
    ],
)
def test_a_plan_that_cannot_be_used_is_named(tmp_path, text, message):
    path = tmp_path / "plan.toml"
    path.write_text(text + ("\n[campaigns.a]" if text == "limit = 0" else ""))
    with pytest.raises(ConfigError, match=message) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)


def test_the_plans_that_come_along_are_those_of_the_study():
    small, real = read_plan(SMALL), read_plan(REAL)
    assert {"random-weights", "random-activations", "worst-case"} <= set(small.campaigns)
    for name in ("random-weights", "random-activations"):
        assert real.campaigns[name]["flips"] == (1, 2, 4, 8, 16)
    assert real.campaigns["worst-case"]["flips"] == tuple(range(1, 9))
    assert {text.partition(":")[0] for text in real.perturb} == {
        "fgsm", "pgd", "patch-drop", "gaussian-noise", "defocus-blur"
    }  # fmt: skip


def test_a_checkpoint_can_name_the_data_set(study, tmp_path):
    with pytest.raises(ConfigError, match=r"no checkpoint at .*own\.rows\.safetensors"):
        study(checkpoint=str(tmp_path / "{data}.safetensors"))
