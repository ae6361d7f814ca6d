"""Commands with a time limit and a log; one that fails does not stop the others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: Also of its log, and of the folder given to it.
        command: Its arguments; ``{out}`` stands for the folder.
        limit: Seconds.
        environment: Variables beside those of the caller.
    """

    name: str
    command: tuple[str, ...]
    limit: int
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Result:
    """What became of a step.

    Attributes:
        name: Of the step.
        status: ``passed``, or in a few words why not.
        seconds: That it took.
        folder: What it wrote, ``log`` among it.
    """

    name: str
    status: str
    seconds: float
    folder: Path

    @property
    def log(self) -> str:
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""


def run_together(steps: Sequence[Step], out: Path) -> list[Result]:
    """Runs steps that time nothing, all at once."""
    with ThreadPoolExecutor(len(steps)) as pool:
        return list(pool.map(lambda step: run(step, out), steps))


def run_alone(steps: Sequence[Step], out: Path) -> list[Result]:
    """Runs steps one after the other."""
    return [run(step, out) for step in steps]


def run(step: Step, out: Path) -> Result:
    """Runs one step in a folder of its own."""
    folder, start = out / step.name, time.monotonic()
    status = _status(step, folder)
    if status.startswith("killed"):  # sanitizers that begin together have crashed so
        first, status = status, _status(step, folder)
        print(f"{step.name}: {first}, and run once more", flush=True)
    seconds = round(time.monotonic() - start, 1)
    print(f"{step.name}: {status} ({seconds} s)", flush=True)
    return Result(step.name, status, seconds, folder)


def _status(step: Step, folder: Path) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [part.replace("{out}", str(folder)) for part in step.command]
    if shutil.which(command[0]) is None:
        return f"not run: there is no {command[0]} here"
    with (folder / "log").open("wb") as log:
        # A group of its own, so that nothing it started outlives its time.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **dict(step.environment)},
            start_new_session=True,
        )
        try:
            code = process.wait(step.limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"not finished after {step.limit} s"
    if code < 0:
        return f"killed by signal {-code}"
    return "passed" if code == 0 else f"failed with code {code}"
