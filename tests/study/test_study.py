"""The whole study, on a model that takes no time."""

from __future__ import annotations

import inspect
import json
import sys

import pytest
import torch
from torch import nn

from faultsim.campaign import workers as campaign_workers
from faultsim.config import StudyConfig
from faultsim.errors import ConfigError, JournalError
from faultsim.study import run_study
from faultsim.study.grid import expanded
from faultsim.study.parts import names_of
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


def test_workers_inside_a_study_give_the_same_bytes(study, tmp_path, monkeypatch):
    """They import the model and the data by name, so from a file."""
    plan = '[campaigns.random]\nlimit = 9\nmode = "random"\nflips = [1]\ntrials = 4\n'
    (tmp_path / "plan.toml").write_text(plan)
    source = "".join(map(inspect.getsource, (made, rows)))
    (tmp_path / "of_a_file.py").write_text(f"import torch\nfrom torch import nn\n{source}")
    monkeypatch.syspath_prepend(tmp_path)
    usual = {"data": ("of_a_file:rows",), "model": "of_a_file:made", "threads": 1}
    workers = []
    real = campaign_workers.LocalWorkers

    def counted(recipe, number):
        workers.append(number)
        return real(recipe, number)

    monkeypatch.setattr(campaign_workers, "LocalWorkers", counted)
    one = study(out=str(tmp_path / "one"), **usual)
    assert not workers
    two = study(out=str(tmp_path / "two"), workers=2, **usual)
    assert workers == [2]
    assert everything(two.directory) == everything(one.directory)


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
        ("perturb = 3", "perturb must be text"),
        ("speed = 1\nperturb = ['fgsm']", "unknown setting 'speed'"),
        ("flips = [1]\nperturb = ['fgsm']", "belongs in"),
        ("[campaigns]\na = 1", "campaigns.a must be a table"),
        ("[campaigns.a]\nmode = 'worst'", "campaigns.a: --mode must be .*'worst-case'"),
        ("[campaigns.a]\ntrials = 0", "campaigns.a: --trials must be at least 1"),
        ("[campaigns.a]\ndata = 'digits'", "campaigns.a: data is not the plan's"),
        ("limit = 0\n[campaigns.a]", "limit must be at least 1"),
        ("seed = 1\nperturb = ['fgsm']", "seed is not the plan's: it is a flag"),
        ("campaigns = 3", "must hold a table"),
        ("limit = 3", "nothing to do"),
        ("[campaigns.'..']", "choose another name"),
        ("[campaigns.'a/b']", "choose another name"),
        ("[campaigns.perturbations]", "choose another name"),
    ],
)
def test_a_plan_that_cannot_be_used_is_named(tmp_path, text, message):
    path = tmp_path / "plan.toml"
    path.write_text(text)
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


def test_a_study_is_resumed_as_it_was_begun(study, tmp_path):
    directory = study().directory
    before = everything(directory)
    with pytest.raises(JournalError, match="config seed = 0, now it is 1"):
        study(resume=True, seed=1)
    with pytest.raises(JournalError, match="config data"):
        study(resume=True, data=("own:rows",))
    (tmp_path / "plan.toml").write_text(PLAN.replace("trials = 3", "trials = 4"))
    with pytest.raises(JournalError, match="plan campaigns"):
        study(resume=True)
    assert everything(directory) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": ("own:rows", "own:missing")},
        {"model": "own:missing"},
        {"seed": -1},
        {"threads": -1},
        {"checkpoint": "missing.safetensors"},
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_written(study, tmp_path, wrong):
    with pytest.raises(ConfigError):
        study(**wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("perturb", ['"bogus"', '"fgsm", "gaussian-noise:sigma=-1"'])
def test_so_is_a_perturbation(study, tmp_path, perturb):
    (tmp_path / "plan.toml").write_text(PLAN.replace('"fgsm:eps=0.1"', perturb))
    with pytest.raises(ConfigError):
        study()
    assert not (tmp_path / "out").exists()


def test_a_campaign_of_a_study_can_perturb_images(study, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN + 'perturb = "fgsm:eps=0.2"\n')
    assert study(data=("own:rows",)).found["own.rows"]["worst-case"].clean is not None


def test_folders_are_called_like_their_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans.v1").mkdir()
    specs = ("digits", "a/x.npz", "pkg.mod:load", "scans.v1")
    assert list(names_of(specs)) == ["digits", "x", "pkg.mod.load", "scans.v1"]
    assert list(names_of((".",))) == [tmp_path.name]
    with pytest.raises(ConfigError, match="would share the folder 'x'"):
        names_of(("a/x.npz", "b/x.npz"))
    with pytest.raises(ConfigError, match="has no name"):
        names_of(("/",))


GRID = """
limit = 9
[campaigns.grid]
mode = "random"
model = ["own:made", "own:other"]
ber = [false, 0.001]
protect = [false, "ranger"]
flips = [1]
trials = 2
[campaigns.known]
mode = "estimate"
margin = 0.2
max-trials = 20
"""


def other(num_classes: int) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))


def test_lists_of_settings_are_as_many_campaigns_resumed_as_one(study, tmp_path):
    plan = tmp_path / "grid.toml"
    plan.write_text(GRID)
    result = study(settings=str(plan), data=("own:rows",), out=str(tmp_path / "whole"))
    assert len(result.found["own.rows"]) == 9
    name = "grid_model-own-other_ber-0.001_protect-none"
    config = json.loads((tmp_path / "whole" / "own.rows" / name / "manifest.json").read_text())[
        "config"
    ]
    assert (config["model"], config["ber"], config["protect"]) == ("own:other", 0.001, None)

    def interrupt(step) -> None:
        if step.done == 4 and step.campaign:
            raise KeyboardInterrupt

    again = {"settings": str(plan), "data": ("own:rows",), "out": str(tmp_path / "again")}
    with pytest.raises(KeyboardInterrupt):
        study(**again, progress=interrupt)
    assert everything(study(**again, resume=True).directory) == everything(tmp_path / "whole")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ber = []", "ber lists nothing"),
        ("model = ['a/b', 'a:b']", "two campaigns would be called a_model-a-b"),
        ("trials = [1, 0]", r"campaigns.a_trials-0: --trials must be at least 1"),
        ("out = ['x']", "out is not the plan's"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(tmp_path, text, message):
    (tmp_path / "plan.toml").write_text(f"[campaigns.a]\nmode = 'random'\n{text}")
    with pytest.raises(ConfigError, match=message):
        read_plan(tmp_path / "plan.toml")


def test_a_list_of_lists_combines_settings_that_are_lists():
    found = expanded("a", {"flips": [[1], [2, 4]], "include": ["x", "y"]})
    assert found == {
        "a_flips-1": {"flips": [1], "include": ["x", "y"]},
        "a_flips-2-4": {"flips": [2, 4], "include": ["x", "y"]},
    }
