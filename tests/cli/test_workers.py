"""The command with workers, whatever happens to them: the same bytes and no orphans."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faultsim.cli import main

SUBJECT = """
import torch, faultsim

def make():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    return faultsim.Workload(model, torch.randn(6, 4), different)

def different(golden, faulty, batch):
    return golden.argmax(1) != faulty.argmax(1)
"""
ENOUGH = 30_000  # trials, so that none of these ends before it is stopped


@pytest.fixture
def flags(tmp_path, monkeypatch):
    (tmp_path / "few_layers.py").write_text(SUBJECT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    usual = "campaign --workload few_layers:make --mode random --flips 1 --threads 1 --trials"
    return lambda name, trials, *more: [
        *usual.split(), str(trials), "--out", str(tmp_path / name), *more,
    ]  # fmt: skip


class Command:
    """The command at work in a process group of its own, as a shell starts it."""

    def __init__(self, flags: list[str]) -> None:
        self.journal = Path(flags[flags.index("--out") + 1]) / "trials-0.jsonl"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "faultsim", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def until(self, lines: int) -> None:
        """Waits for that many lines of the journal."""
        while self.process.poll() is None and self.lines() < lines:
            time.sleep(0.005)
        assert self.process.poll() is None, self.process.stdout.read()

    def lines(self) -> int:
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0

    def members(self) -> list[int]:
        """Processes of the group, but for the first."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, state, _, group = re.sub(r"\(.*\)", "", stat.read_text()).split()[:4]
            except OSError:
                continue
            if int(group) == self.process.pid != int(pid) and state != "Z":
                found.append(int(pid))
        return found

    def nothing_is_left(self, within: float = 60) -> bool:
        end = time.monotonic() + within
        while self.members() and time.monotonic() < end:
            time.sleep(0.01)
        return not self.members()


@pytest.mark.slow
def test_killed_and_interrupted_and_resumed_on_other_numbers_of_workers(flags, tmp_path):
    begun = Command(flags("a", ENOUGH, "--workers", "2"))
    begun.until(20)
    begun.process.kill()
    begun.process.wait()
    assert begun.nothing_is_left()

    again = Command(flags("a", ENOUGH, "--workers", "3", "--resume"))
    again.until(begun.lines() + 20)
    os.killpg(again.process.pid, signal.SIGINT)  # as a terminal does
    printed = again.process.communicate()[0]
    assert (again.process.returncode, "Traceback" in printed) == (130, False), printed
    assert f"--resume --out {tmp_path / 'a'}" in printed.replace("\n", "")
    assert again.nothing_is_left()
    text = again.journal.read_bytes()
    assert text.endswith(b"\n")

    lines = text.count(b"\n")
    assert main(flags("b", lines)) == 0
    assert (tmp_path / "b" / "trials-0.jsonl").read_bytes() == text


def test_whoever_of_them_is_killed_the_bytes_are_the_same(flags, tmp_path):
    """Workers and the processes that watch over them, in any order."""
    run, draw = Command(flags("a", 1500, "--workers", "2")), random.Random(0)
    for _ in range(4):
        run.until(run.lines() + draw.randrange(1, 60))
        victims = run.members()
        if victims:
            os.kill(draw.choice(victims), signal.SIGKILL)
    printed = run.process.communicate()[0]
    assert run.process.returncode == 0, printed
    assert run.nothing_is_left()
    assert main(flags("b", 1500)) == 0
    for name in ("trials-0.jsonl", "manifest.json", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


FATAL = SUBJECT.replace(
    "golden.argmax(1) !=", "(1 / 0 if (golden != faulty).any() else golden.argmax(1)) !="
)


def test_a_command_says_why_it_took_no_workers(flags, monkeypatch, capsys):
    monkeypatch.setattr("faultsim.campaign.workers.cores", lambda: 2)
    monkeypatch.setattr("faultsim.campaign.workers.available_bytes", lambda: 3 << 20)
    monkeypatch.setattr("faultsim.executors.growing.PATIENCE", -1)
    assert main(flags("a", 3)) == 0
    assert "One process ran all trials, since 3 MB of memory are free" in capsys.readouterr().out


@pytest.mark.slow
def test_an_error_in_a_worker_is_one_line(flags, tmp_path):
    (tmp_path / "few_layers.py").write_text(FATAL)
    run = Command(flags("a", 50, "--workers", "2"))
    printed = run.process.communicate()[0]
    assert run.process.returncode == 2, printed
    assert "faultsim: the task different fails: division by zero\n" in printed
    assert "Traceback" not in printed
    assert run.nothing_is_left()
