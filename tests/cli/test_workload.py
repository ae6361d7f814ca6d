"""Workloads by import path, from settings and from the command line."""

from __future__ import annotations

import json
import re

import pytest
import torch

from faultsim import CampaignConfig, FaultSimError, run_campaign
from faultsim.cli import main

CODE = """
import torch
from torch import nn

import faultsim


def moved(golden, faulty, batch):
    return ((golden - faulty).abs() > 0.1).any(1)


def numbers():
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    batches = [torch.rand(n, 6) for n in (8, 8, 5)]
    return faultsim.Workload(model, batches, moved, name="two numbers")


def sized(batch_size, data_root):
    rows = torch.rand(2 * batch_size, 6)
    return faultsim.Workload(nn.Linear(6, 2), rows, moved, name=f"{data_root}/{batch_size}")


class Counter(nn.Module):
    seen = 0

    def forward(self, x):
        self.seen = self.seen + 1
        return x


def counting():
    model = nn.Sequential(nn.Linear(6, 16), Counter(), nn.Linear(16, 2))
    return faultsim.Workload(model, [torch.rand(4, 6)], moved)


def nothing():
    return 7


def none():
    return faultsim.Workload(nn.Linear(6, 2), [], moved)
"""


@pytest.fixture(autouse=True)
def _module(tmp_path, monkeypatch):
    (tmp_path / "own_work.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)


def settings(**others) -> CampaignConfig:
    usual = {"workload": "own_work:numbers", "mode": "random", "trials": 4, "flips": (1,)}
    return CampaignConfig(**usual | others)


def line(capsys, *argv: str) -> str:
    assert main(list(argv)) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    return printed.err


def test_a_factory_is_run_reproduced_and_resumed(tmp_path, capsys):
    result = run_campaign(settings(out="a"))
    lines = (tmp_path / "a" / "trials-0.jsonl").read_bytes()
    assert json.loads(lines.splitlines()[0])["n"] == 21
    assert "directory names the code" not in capsys.readouterr().err
    assert main(["reproduce", "a", "--trial", "2", "--trust-code"]) == 0
    assert result.golden.n == 21
    (tmp_path / "a" / "trials-0.jsonl").write_bytes(lines[: len(lines) // 2])
    run_campaign(settings(out="a", resume=True))
    assert (tmp_path / "a" / "trials-0.jsonl").read_bytes() == lines


def test_its_random_numbers_are_the_same_each_time_and_nobody_elses():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = run_campaign(settings()).directory
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    second = run_campaign(settings(seed=1)).directory
    digests = [json.loads((d / "manifest.json").read_text()) for d in (first, second)]
    assert digests[0]["model"] == digests[1]["model"]
    assert digests[0]["data"] == digests[1]["data"]
    assert str(first) == "runs/random-two-numbers-1"


def test_a_factory_is_given_the_settings_that_it_names(tmp_path):
    config = settings(workload="own_work:sized", batch_size=3, data_root="here")
    result = run_campaign(config)
    assert result.golden.n == 6
    assert result.directory.name == "random-here-3-1"


def test_a_checkpoint_goes_into_its_model(tmp_path):
    state = {"weight": torch.ones(2, 6), "bias": torch.zeros(2)}
    torch.save(state, "own.pt")
    work = "own_work:sized"
    with_it = run_campaign(settings(workload=work, checkpoint="own.pt", out="with"))
    without = run_campaign(settings(workload=work, out="without"))
    digests = {
        json.loads((r.directory / "manifest.json").read_text())["model"]["digest"]
        for r in (with_it, without)
    }
    assert len(digests) == 2
    with pytest.raises(FaultSimError, match="does not fit the model"):
        run_campaign(settings(checkpoint="own.pt"))


def test_inspect_lists_its_tensors(capsys):
    assert main(["inspect", "--workload", "own_work:numbers", "--target", "activations"]) == 0
    shown = capsys.readouterr().out
    assert "own_work:numbers: 1,088 bits in 3 tensors" in shown


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--workload", "own_work:numbers", "--data", "x.npz"], "leave --data out"),
        (["--workload", "own_work:numbers", "--model", "medmamba-t"], "leave --model out"),
        (["--workload", "own_work"], "wants package.module:factory, not 'own_work'"),
        (["--workload", "own_work:missing"], "has no callable 'missing'"),
        (["--workload", "own_work:nothing"], "returned int, not a faultsim.Workload"),
        (["--workload", "no_such_module:make"], "cannot import no_such_module"),
        (["--workload", "own_work:numbers", "--perturb", "fgsm"], "only images"),
        (["--workload", "own_work:none"], "no test samples"),
    ],
)
def test_what_does_not_fit_is_one_line(capsys, argv, message):
    assert message in line(capsys, "campaign", "--mode", "random", *argv)


def test_a_workload_without_samples_shows_no_activations(capsys):
    argv = ["inspect", "--workload", "own_work:none", "--target", "activations"]
    assert "no test samples" in line(capsys, *argv)


def test_foreign_code_is_not_called_untold(capsys):
    run_campaign(settings(out="a"))
    message = line(capsys, "reproduce", "a", "--trial", "0")
    assert "names the code own_work:numbers; --trust-code" in message


def test_two_workloads_are_one_too_many():
    from own_work import numbers

    with pytest.raises(FaultSimError, match="leave one of them out"):
        run_campaign(settings(), numbers())
    with pytest.raises(FaultSimError, match="its own model and data"):
        run_campaign(settings(), model=numbers().model)


def test_the_command_names_what_counts(tmp_path, capsys):
    argv = ["--mode", "random", "--trials", "4", "--flips", "1", "--out", "a"]
    assert main(["campaign", "--workload", "own_work:numbers", *argv]) == 0
    shown = capsys.readouterr().out
    assert "Golden run on 21 test samples" in shown
    assert "accuracy" not in shown
    assert "image" not in shown
    assert main(["report", "a"]) == 0
    assert "two numbers" in (tmp_path / "a" / "report.html").read_text()


def test_the_command_on_the_page_reproduces_its_trial(tmp_path, capsys):
    run_campaign(settings(out="a"))
    assert main(["report", "a"]) == 0
    page = (tmp_path / "a" / "report.html").read_text()
    command = re.search("faultsim (reproduce [^<]*)", page)[1]
    assert main(command.split()) == 0
    assert "outcome is the same" in capsys.readouterr().out


def test_inspect_says_where_trials_begin_and_why_not_elsewhere(capsys):
    assert main(["inspect", "--workload", "own_work:counting", "--replay"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "cuts; a trial saves" in shown
    assert "run again" in shown
