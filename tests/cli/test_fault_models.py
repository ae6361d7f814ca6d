"""Fault models and failures in time as people type them."""

from __future__ import annotations

import json

import pytest

from faultsim.cli import main

QUICK = ["campaign", "--mode", "random", "--trials", "3", "--limit", "8"]


@pytest.fixture
def run(capsys):
    def typed(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return typed


def test_a_campaign_then_its_fit_and_one_trial_again(run, tmp_path):
    out = str(tmp_path / "out")
    code, printed, _ = run(*QUICK, "--fault-model", "hbm2", "--events", "1", "2", "--out", out)
    assert code == 0
    assert "events" in printed
    code, _, said = run("fit", out)
    assert code == 2
    assert said == "faultsim: how often events happen is not recorded: give --fit-per-mbit\n"
    code, printed, _ = run("fit", out, "--fit-per-mbit", "25", "--fleet", "1000")
    assert code == 0
    assert "hours between, of 1,000" in printed
    assert "25 events in 10⁹ hours and Mbit" in printed
    assert "layers.3" in printed
    lines = (tmp_path / "out" / "trials-0.jsonl").read_text().splitlines()
    code, printed, _ = run("reproduce", out, "--trial", "4")
    assert code == 0
    assert json.loads(lines[4])["struck"][0] in printed.replace("\n", "")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fault-model", "hbm3"], "unknown fault model 'hbm3': did you mean 'hbm2'?"),
        (["--fault-model", "none.toml"], "cannot read none.toml"),
        (["--fault-modle", "seu"], "did you mean '--fault-model'"),
        (["--fault-model", "seu", "--flips", "3"], "--flips does not go with --fault-model"),
        (["--fault-model", "seu", "--events", "0"], "--events must be at least 1"),
        (["--fault-model", "seu", "--hours", "-1"], "--hours must be at least 0"),
        (["--fault-model", "hbm2", "--hours", "5"], "give --fit-per-mbit"),
        (["--events", "2"], "--events goes with --fault-model"),
        (["--fault-model", "seu", "--mode", "worst-case"], "takes random, layer-wise or bit-wise"),
    ],
)
def test_wrong_ones_are_one_line(run, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*QUICK, *flags)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "runs").exists()
