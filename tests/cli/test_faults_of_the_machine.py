"""Whatever happens to the command, what it goes on to is what it would have come to, in all bytes.

Killed where it stands, without room, asked to end, beside another, and with a clock that jumps.
"""

from __future__ import annotations

import os
import pty
import random
import re
import signal
import time
from pathlib import Path

import pytest

from faultsim.cli import main

SUBJECT = """
import torch, faultsim

def make():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3))
    return faultsim.Workload(model, torch.randn(6, 4), Different(), search=torch.randn(6, 4))

class Different(faultsim.Task):
    objective = "same"

    def changed(self, golden, faulty, batch):
        return golden.argmax(1) != faulty.argmax(1)

    def loss(self, output, batch):
        return output.square().mean()

    def scores(self, outputs, batches):
        return {"same": float(sum((o.argmax(1) == 0).double().mean() for o in outputs))}
"""
FAULTS = '{"trial": 0, "tensor": "0.weight", "index": %d, "bit": 30}'
MODES = {
    "random": ("--trials", "12", "--flips", "1", "2"),
    "layer-wise": ("--trials", "4", "--flips", "1"),
    "bit-wise": ("--trials", "1", "--flips", "1", "--bits", "20-31"),
    "worst-case": ("--trials", "2", "--flips", "1", "2"),
    "exhaustive": ("--include", "2.bias", "--bits", "exponent"),
    "estimate": ("--max-trials", "40", "--margin", "0.01"),
    "inference": ("--mode", "random", "--granularity", "inference", "--trials", "30"),
    "observed": ("--mode", "random", "--observe", "--trials", "12", "--flips", "1"),
}
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, resource.RLIM_INFINITY))"
FATAL = f"{FULL}; import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)"
TIMER = "import signal; signal.setitimer(signal.ITIMER_VIRTUAL, {0})"
"""Kills when so much of its own processor time is over, whatever else the machine does."""

STEP = """
import itertools, os, signal, sys
steps = itertools.count()
def hook(event, arguments):
    named = [str(a) for a in arguments[:2]]
    acts = event in ("os.mkdir", "os.rename", "os.remove", "os.truncate", "open")
    if acts and any({folder!r} in name for name in named) and next(steps) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""
JUMPS = """
import itertools, time
real, steps = time.time, itertools.count()
time.time = lambda: real() + (-1) ** next(steps) * 1e8
"""


@pytest.fixture(scope="module")
def subject(tmp_path_factory) -> str:
    """Code that lets a process import the workload."""
    folder = tmp_path_factory.mktemp("subject")
    (folder / "survived.py").write_text(SUBJECT)
    let_others_read(folder)
    return f"import sys; sys.path.insert(0, {str(folder)!r})\n"


def let_others_read(folder: Path) -> None:
    """For a superuser, who may write anything, has to become somebody else."""
    for each in [folder, *folder.resolve().parents]:
        if each.stat().st_mode & 0o005 != 0o005:
            each.chmod(each.stat().st_mode | 0o055)


@pytest.fixture
def start(subject, launcher, monkeypatch):
    exec(subject)

    def start(argv, setup="", **more):
        return launcher.start(argv, subject + setup, **more)

    return start


def flags(mode: str, out: Path, *more: str) -> list[str]:
    usual = ["campaign", "--workload", "survived:make", "--threads", "1", "--no-replay"]
    settings = MODES[mode] if "--mode" in MODES[mode] else ("--mode", mode, *MODES[mode])
    return [*usual, *settings, "--out", str(out), *more]


def everything(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def whole(subject, tmp_path_factory):
    """What a campaign comes to that nothing happens to, and the processor time that it takes."""
    exec(subject)
    found: dict[str, tuple[dict[str, bytes], float]] = {}

    def whole(mode: str):
        if mode not in found:
            out = tmp_path_factory.mktemp("whole") / mode
            begun = time.process_time()
            assert main(flags(mode, out)) == 0
            found[mode] = everything(out), time.process_time() - begun
        return found[mode]

    return whole


def go_on(argv: list[str], out: Path) -> dict[str, bytes]:
    """What there is when the same command was given again; it began anew where nothing was."""
    again = ["--resume"] if (out / "manifest.json").exists() else []
    assert main([*argv, *again]) == 0
    return everything(out)


@pytest.mark.parametrize("mode", MODES)
def test_killed_at_any_moment(start, whole, tmp_path, mode):
    expected, took = whole(mode)
    draw = random.Random(mode)
    argv, killed = flags(mode, tmp_path / "a"), 0
    for _ in range(2):
        again = ["--resume"] if (tmp_path / "a" / "manifest.json").exists() else []
        code = start([*argv, *again], TIMER.format(draw.uniform(0.2, 0.9) * took)).wait()
        assert code in (0, -signal.SIGVTALRM)
        killed += code != 0
    assert killed
    assert go_on(argv, tmp_path / "a") == expected


@pytest.mark.parametrize("limit", [FULL, FATAL], ids=["full", "killed"])
def test_at_any_byte_of_any_file(start, whole, tmp_path, limit):
    expected, _ = whole("observed")
    sizes = {len(text) for text in expected.values()}
    ends = [match.end() for match in re.finditer(b"\n", expected["trials-0.jsonl"])]
    tried = {0, ends[0], ends[3] - 1, *(size - 1 for size in sizes)}
    for size in tried:
        out = tmp_path / str(size)
        run = start(flags("observed", out), limit.format(size))
        code, printed = run.wait(), run.printed()
        if limit is FULL:
            assert code == 2, printed
            assert re.search(r"(?m)^faultsim: cannot write .*: File too large\n\Z", printed)
            assert "Traceback" not in printed
        else:
            assert code == -signal.SIGXFSZ
        assert go_on(flags("observed", out), out) == expected, size


def test_killed_before_every_step_that_makes_opens_or_renames_a_file(start, whole, tmp_path):
    expected, _ = whole("random")
    number, code = 0, -signal.SIGKILL
    while code:
        out = tmp_path / f"killed-{number}"
        code = start(flags("random", out), STEP.format(folder=out.name, number=number)).wait()
        assert go_on(flags("random", out), out) == expected, number
        number += 1
    assert number > 8


@pytest.mark.parametrize("kind", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_asked_to_end(start, whole, tmp_path, kind):
    argv = flags("random", tmp_path / "a")
    long = [*argv, "--trials", "100000"]
    run = start(long)
    until_it_writes(run, tmp_path / "a")
    number = getattr(signal, kind)
    os.kill(run.pid, number)
    assert run.wait() == 128 + number
    printed = run.printed()
    assert printed.count("To go on, add --resume --out") == 1
    assert "Traceback" not in printed
    assert (tmp_path / "a" / "trials-0.jsonl").read_bytes().endswith(b"\n")
    recorded = (tmp_path / "a" / "trials-0.jsonl").read_bytes().count(b"\n")
    assert main([*flags("random", tmp_path / "b"), "--trials", str(recorded)]) == 0
    assert first_cell(tmp_path / "a", recorded) == first_cell(tmp_path / "b", recorded)


def first_cell(directory: Path, lines: int) -> list[bytes]:
    return (directory / "trials-0.jsonl").read_bytes().splitlines()[:lines]


def until_it_writes(run, out: Path) -> None:
    journal = out / "trials-0.jsonl"
    while run.running and not (journal.exists() and journal.stat().st_size > 1000):
        time.sleep(0.002)
    assert run.running


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_closed(start, tmp_path, ignored):
    ours, theirs = pty.openpty()
    setup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" if ignored else ""
    trials = "1000" if ignored else "100000"
    argv = [*flags("random", tmp_path / "a"), "--trials", trials]
    run = start(argv, setup, terminal=os.ttyname(theirs))
    os.close(theirs)
    until_it_writes(run, tmp_path / "a")
    os.close(ours)
    code = run.wait()
    assert (tmp_path / "a" / "trials-0.jsonl").read_bytes().endswith(b"\n")
    if ignored:  # as nohup has it
        assert (tmp_path / "a" / "summary.json").exists()
    else:
        assert code == 128 + signal.SIGHUP


def test_two_at_once_on_one_directory(start, tmp_path):
    argv = [*flags("random", tmp_path / "a"), "--trials", "100000"]
    first = start(argv)
    until_it_writes(first, tmp_path / "a")
    second = start([*argv, "--resume"])
    assert second.wait() == 2
    assert "another process is at work on the campaign" in second.printed()
    assert first.running
    os.kill(first.pid, signal.SIGTERM)
    first.wait()
    lines = (tmp_path / "a" / "trials-0.jsonl").read_bytes().splitlines()
    assert [int(re.match(rb'{"trial":(\d+)', line)[1]) for line in lines] == [*range(len(lines))]


def test_a_directory_that_may_only_be_read(start, whole, tmp_path):
    assert main(flags("random", tmp_path / "a")) == 0
    before = everything(tmp_path / "a")
    unprivileged = "import os; os.getuid() or os.setuid(65534)\n"
    let_others_read(tmp_path / "a")
    for path in [*(tmp_path / "a").iterdir(), tmp_path / "a"]:
        path.chmod(0o555)
    for argv in (
        flags("random", tmp_path / "a" / "b"),
        flags("random", tmp_path / "a", "--resume"),
    ):
        run = start(argv, unprivileged)
        assert run.wait() == 2
        assert re.search(r"(?m)^faultsim: cannot write .*: Permission denied\n\Z", run.printed())
    assert everything(tmp_path / "a") == before


def test_a_clock_that_jumps(start, whole, tmp_path):
    run = start(flags("random", tmp_path / "a"), JUMPS)
    assert run.wait() == 0, run.printed()
    assert everything(tmp_path / "a") == whole("random")[0]
