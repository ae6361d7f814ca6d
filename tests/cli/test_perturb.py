"""``faultsim perturb``, ``faultsim study`` and ``campaign --perturb`` as people type them."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

from faultsim.cli import main


def model(num_classes: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, num_classes))


def data():
    images = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return dict.fromkeys(("train", "val", "test"), (images, torch.arange(12) % 3))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command on the model and data of this file; exit code, output, errors."""
    monkeypatch.setitem(sys.modules, "own", sys.modules[__name__])
    monkeypatch.setenv("COLUMNS", "100")

    def go(command: str, *flags: str) -> tuple[int, str, str]:
        subject = ["--model", "own:model", "--data", "own:data"]
        code = main([command, *subject, "--out", str(tmp_path / "out"), *flags])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return go


def one_line(code: int, out: str, err: str) -> str:
    assert code == 2
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    return err


def test_perturb_prints_each_setting_with_its_change(run, tmp_path):
    code, out, _ = run("perturb", "--attack", "pgd:eps=0.5", "gaussian-noise")
    assert code == 0
    assert "clean" in out
    own = ["eps=0.5", "step=0.125", "steps=20", *(f"severity={s}" for s in range(1, 6))]
    assert all(setting in out for setting in own)
    assert out.count("gaussian-noise: profile=cifar-10-c") == 1  # what all share is said once
    assert "paired" in out
    record = json.loads((tmp_path / "out" / "perturb.json").read_text())
    change = record["rows"][0]["accuracy_change"]["value"]
    assert f"{100 * change:+.2f} %" in out


def test_no_column_vanishes_in_a_narrow_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    _, out, _ = run("perturb", "--attack", "pgd")
    assert max(map(len, out.splitlines()[:-1])) <= 72  # the last line is a path
    assert out.count("┓") == out.count("┏") == 1
    assert out.count("change") == 3


def test_a_campaign_under_attack_prints_both_golden_runs_and_the_excess(run):
    flags = ("--mode", "random", "--trials", "2", "--flips", "1", "8", "--perturb", "fgsm:eps=0.3")
    code, out, _ = run("campaign", *flags)
    assert code == 0
    assert "Golden accuracy" in out
    assert "Under fgsm:eps=0.3: accuracy" in out
    for heading in ("faults alone", "both", "excess loss"):
        assert heading in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["perturb", "--attack", "pdg"], "unknown perturbation 'pdg'"),
        (["perturb", "--attack", "pgd:eps=2/0"], "cannot be read"),
        (["perturb", "--attack", "pgd:eps=-1"], "eps must be a finite number of at least 0"),
        (["perturb", "--attack", "patch-drop:fraction=2"], "fraction"),
        (["perturb", "--attack", "defocus-blur:severity=1,profile=x"], "unknown profile"),
        (["perturb", "--attack", "fgsm", "--out", "/proc/no"], "cannot write"),
        (["perturb", "--limit", "0"], "--limit must be at least 1"),
        (["campaign", "--perturb", "pdg"], "unknown perturbation"),
        (["campaign", "--attack-model", "faulty"], "needs --perturb"),
        (["study", "--settings", "none.toml"], "none.toml: cannot read"),
        (["study", "--resume"], "holds no study"),
        (["study", "--data", "pathmnist", "--data-root", "nowhere"], "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, flags, message):
    assert message in one_line(*run(*flags))


def interrupted(*args: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_says_how_to_go_on(run, tmp_path, monkeypatch):
    flags = ("perturb", "--attack", "fgsm", "gaussian-noise:sigma=0.1")
    with monkeypatch.context() as patch:
        patch.setattr("faultsim.study.perturbations.perturb_split", interrupted)
        code, out, err = run(*flags)
    assert code == 130
    assert f"--resume --out {tmp_path / 'out'}" in out.replace("\n", "")
    assert "Traceback" not in err
    assert run(*flags, "--resume")[0] == 0


PLAN = """
perturb = ["fgsm"]
[campaigns.few]
mode = "layer-wise"
flips = [1]
trials = 2
"""


def test_a_study_names_its_parts_and_prints_what_they_found(run, tmp_path, monkeypatch):
    (tmp_path / "plan.toml").write_text(PLAN)
    flags = ("study", "--settings", str(tmp_path / "plan.toml"))
    with monkeypatch.context() as patch:
        patch.setattr("faultsim.run.experiment.Experiment.run", interrupted)
        code, out, _ = run(*flags)
    assert code == 130
    assert f"--resume --out {tmp_path / 'out'}" in out.replace("\n", "")
    code, out, _ = run(*flags, "--resume")
    assert code == 0
    assert "1/2 own.data: perturbations" in out
    assert "2/2 own.data: few" in out
    assert "the 2 most harmful of 2" in out
    assert (tmp_path / "out" / "study-own.data.json").exists()
