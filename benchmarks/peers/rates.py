"""Independent weight faults per second, and how long a failure rate to ±0.1 % at 99 % takes.

Ours are measured whole, by the processor's time and by the clock. Of the others one injection is
measured, by the processor's time, and multiplied by the number that a plan asks for; no start-up is
counted for them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.injectors import PEERS, bare, space_of
from benchmarks.resnet20 import resnet20
from faultsim import Workload
from faultsim.run.carried.inferences import Inferences
from faultsim.run.engine import make_engine
from faultsim.run.golden import golden_run
from faultsim.stats.plan import sample_size
from faultsim.workload import Task

BATCH, ROUNDS = 128, 5
TOGETHER = 4 * (BATCH - 1)
"""Of our faults, that are known at a time: as few as four full passes."""
MARGIN, CONFIDENCE = 0.001, 0.99
SINGLE = 30
"""Injections of the others, before and after ours: a machine in use is faster at one time than at
another."""
CLASSICAL, KNOWN = "classical plan", "rate known beforehand"
AIMS = {CLASSICAL: 1000, KNOWN: 50}
"""How many times faster faultsim is to be."""


class Decides(Task):
    """An image is corrupted when another class has the largest output."""

    def changed(self, golden: Any, output: Any, batch: Any) -> torch.Tensor:
        found: torch.Tensor = golden.argmax(1) != output.argmax(1)
        return found


def subject() -> Workload:
    """The same network on random images: what a campaign is told by import path."""
    torch.manual_seed(0)
    return Workload(resnet20(), [torch.rand(BATCH, 3, 32, 32)], Decides())


def processor_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def measured() -> dict[str, Any]:
    """All of it."""
    load = round(os.getloadavg()[0], 1)
    faults = faults_per_second()
    before, ours, after = one_injection(), ours_to_the_margin(), one_injection()
    single = {name: (seconds + after[name]) / 2 for name, seconds in before.items()}
    return {
        "load": load,
        "faults per second": faults,
        "one injection": single,
        "to the margin": compared(ours, single),
    }


def faults_per_second() -> dict[str, float]:
    """At a batch of 128, interleaved; ours are drawn and run as a campaign does it."""
    work = subject()
    batches = work.read("test", BATCH, None)
    images = batches[0].inputs
    space, blocks = space_of(work.model), count()
    engine = make_engine(work, batches, torch.device("cpu"), replay=True)
    inferences = Inferences(work, golden_run(work, batches, engine), measured=False)

    def ours() -> None:
        first = next(blocks) * TOGETHER
        drawn = space.samples(1, range(first, first + TOGETHER), seed=0)
        inferences.run([(faults, at % BATCH) for at, faults in enumerate(drawn)])

    runs: dict[str, tuple[Callable[[], object], int]] = {"faultsim": (ours, TOGETHER)}
    runs["bare passes of 128, images"] = (bare(images), BATCH)
    runs |= {name: (make(images), 1) for name, make in PEERS.items()}
    rates = _interleaved({name: run for name, (run, _) in runs.items()})
    return {name: round(runs[name][1] / seconds, 2) for name, seconds in rates.items()}


def one_injection() -> dict[str, float]:
    """Seconds of one fault on one image, the least work that tells the outcome of one."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32)
    return _interleaved({name: make(image) for name, make in PEERS.items()}, rounds=SINGLE)


def _interleaved(runs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    spent: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        for number in range(rounds + 2):
            for name, run in runs.items():
                seconds = processor_seconds(run)
                if number > 1:  # the first warm up
                    spent[name].append(seconds)
    return {name: statistics.median(found) for name, found in spent.items()}


def ours_to_the_margin() -> dict[str, Any]:
    """Ours as a command from start to end."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        before = os.times()
        subprocess.run(_command(out), check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        clock = after.elapsed - before.elapsed
        known = json.loads((out / "summary.json").read_text())["estimate"]
    found = {name: known[name] for name in ("value", "low", "high", "n", "confidence", "margin")}
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return {"seconds": round(spent, 1), "clock": round(clock, 1), "estimate": found}


def compared(ours: dict[str, Any], single: dict[str, float]) -> dict[str, Any]:
    """The others' by multiplication: seconds of one injection, by the injections of a plan."""
    rate = min(max(ours["estimate"]["value"], 1e-6), 0.5)
    plans = {
        CLASSICAL: sample_size(MARGIN, CONFIDENCE),
        KNOWN: sample_size(MARGIN, CONFIDENCE, rate=rate),
    }
    return {
        "faultsim": ours,
        "injections": plans,
        "times faster": {
            plan: {
                name: round(seconds * n / ours["seconds"], 1) for name, seconds in single.items()
            }
            for plan, n in plans.items()
        },
    }


def _command(out: Path) -> list[str]:
    asked = ["--mode", "estimate", "--margin", str(MARGIN), "--confidence", str(CONFIDENCE)]
    asked += ["--granularity", "inference"]
    work = ["--workload", "benchmarks.peers.rates:subject", "--threads", "1", "--out", str(out)]
    work += ["--workers", "1"]  # whose time a process that waits for it knows
    return [sys.executable, "-m", "faultsim", "campaign", *work, *asked]


def table(found: dict[str, Any]) -> str:
    """What was measured, and what is multiplied."""
    whole = found["to the margin"]
    ours = whole["faultsim"]
    spent, estimate = ours["seconds"], ours["estimate"]
    lines = [
        f"Independent weight faults per second of the processor at a batch of {BATCH}, medians of",
        f"{ROUNDS} interleaved rounds: of the others one a pass, as their documents have it. A",
        "bare pass is beside them for comparison, in images a second.",
        "",
        "| | faults a second |",
        "|---|---|",
        *(f"| {name} | {rate} |" for name, rate in found["faults per second"].items()),
        "",
        f"A failure rate to ±{MARGIN:.1%} at {CONFIDENCE:.0%} on {BATCH} random images. Measured",
        "whole, start-up included: `faultsim campaign --mode estimate --granularity inference`,",
        f"{estimate['n']:,} trials, {spent} seconds of the processor, {ours['clock']} by the clock",
        f"(load of the machine {found['load']}, two processors): {estimate['value']:.3%}",
        f"[{estimate['low']:.3%}, {estimate['high']:.3%}]. Multiplied, not run: the others' time",
        f"of one injection into one image, medians of {SINGLE} before and {SINGLE} after ours, by",
        "the injections of the plan; no start-up and no judging is counted for them.",
        "",
        "| | injections | seconds of one | faultsim is faster by | aim |",
        "|---|---|---|---|---|",
    ]
    for plan, times in whole["times faster"].items():
        for name, ratio in times.items():
            one = found["one injection"][name]
            aim = f"{AIMS[plan]:,} ×, {'met' if ratio >= AIMS[plan] else 'not met'}"
            many = f"{whole['injections'][plan]:,}"
            lines.append(f"| {name}, {plan} | {many} | {one:.4f} | {ratio:,.0f} × | {aim} |")
    return "\n".join([*lines, ""])
