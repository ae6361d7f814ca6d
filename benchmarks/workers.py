"""How much faster two local workers are than one, and what the second costs in memory.

    python -m benchmarks.workers --rounds 5

Campaigns with one worker and with two, in turns, each in a process of its own, on a model whose
every trial takes some 50 ms; a long one less a short one, so without what it takes to begin (within
one, workers are ahead of the trials that are told). In the same turns, processes that do nothing
but run the model: what the machine has to give at that time. Processor time tells what workers have
to do besides. Memory is what a worker alone holds, which it would take if it were added, beside the
model's size. ``--given ray bare --trials 132`` is for actors of a Ray cluster that was begun on
this machine (``PYTHONPATH=. ray start --head``); they take longer to begin, hence more trials.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

TRIALS, FEW = 60, 12
BARE, RAY = "bare", "ray"
GIVEN = {
    "object": "as a live object",
    "name": "by its name",
    RAY: "by its name, to actors of Ray",
    BARE: "passes, no campaign",
}


def subject() -> Any:
    """94 MB of weights and 8 images of 4 × 4 at their depth."""
    import torch
    from torch import nn

    from faultsim import Workload

    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(512, 512, 3, padding=1), nn.ReLU()) for _ in range(10)]
    return Workload(nn.Sequential(*layers), torch.rand(8, 512, 4, 4), other)


def other(golden: Any, faulty: Any, batch: Any) -> Any:
    """Whether the largest of the last layer's outputs is another one."""
    return golden.flatten(1).argmax(1) != faulty.flatten(1).argmax(1)


def campaign(workers: int, given: str, trials: int) -> dict[str, float]:
    """One campaign in this process and below, and what it took."""
    from benchmarks import workers as own  # not __main__, which workers could not import
    from faultsim import CampaignConfig, run_campaign

    found: dict[str, float] = {}
    began = time.perf_counter(), time.process_time()

    def look(progress: Any) -> None:
        if progress.done == trials:
            found["seconds"] = time.perf_counter() - began[0]
            found["processor"] = processor_seconds() - began[1]
            found["private"] = max(map(private_mb, working()), default=0.0)

    with tempfile.TemporaryDirectory() as root:
        config = CampaignConfig(
            mode="random", flips=(1,), trials=trials, replay=False, threads=1, workers=workers,
            workload=None if given == "object" else "benchmarks.workers:subject",
            out=str(Path(root) / "out"),
            executor="ray" if given == RAY else "local", address="auto" if given == RAY else None,
        )  # fmt: skip
        work = own.subject() if given == "object" else None
        run_campaign(config, work, progress=look)
    return found


def bare(processes: int, trials: int) -> dict[str, float]:
    """As many passes, shared out to processes that do nothing else."""
    context = multiprocessing.get_context("spawn")
    ready, said = context.Barrier(processes), context.Queue()
    shares = [(trials // processes, ready, said) for _ in range(processes)]
    runs = [context.Process(target=passes, args=share) for share in shares]
    for run in runs:
        run.start()
    spent = [said.get() for _ in runs]
    for run in runs:
        run.join()
    return {
        "seconds": max(clock for clock, _ in spent),
        "processor": sum(processor for _, processor in spent),
        "private": 0.0,
    }


def passes(number: int, ready: Any, said: Any) -> None:
    """Tells the seconds that passes took, from when all processes were ready."""
    import torch

    torch.set_num_threads(1)
    work = subject()
    inputs = next(iter(work.read("test", 8))).inputs
    with torch.no_grad():
        work.run(inputs)
        ready.wait()
        began = time.perf_counter(), time.process_time()
        for _ in range(number):
            work.run(inputs)
    said.put((time.perf_counter() - began[0], time.process_time() - began[1]))


def working() -> list[int]:
    """Processes of workers: those that a fork server started, and all actors of Ray."""
    own = [child.pid for child in multiprocessing.active_children() if child.pid]
    actors = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cmdline").read_bytes().startswith(b"ray::Actor"):
                actors.append(int(place.name))
    return own + actors


def processor_seconds() -> float:
    """Of this process and of its workers."""
    tick = os.sysconf("SC_CLK_TCK")
    spent = time.process_time()
    for pid in working():
        stat = re.sub(r"\(.*\)", "", Path(f"/proc/{pid}/stat").read_text()).split()
        spent += (int(stat[12]) + int(stat[13])) / tick
    return spent


def private_mb(pid: int) -> float:
    """What no other process has in memory."""
    lines = re.findall(r"Private_\w+: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return sum(map(int, lines)) / 1024


def measured(workers: int, given: str, trials: int) -> dict[str, float]:
    """Of a trial beyond the first few, the seconds; and what a worker held."""
    few, all_of_them = (alone(workers, given, n) for n in (FEW, trials))
    own = ("seconds", "processor")
    return all_of_them | {name: (all_of_them[name] - few[name]) / (trials - FEW) for name in own}


def alone(workers: int, given: str, trials: int) -> dict[str, float]:
    """:func:`campaign` in a process of its own."""
    words = ["--alone", str(workers), "--given", given, "--trials", str(trials)]
    command = [sys.executable, "-m", "benchmarks.workers", *words]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument(
        "--given",
        nargs="+",
        default=[given for given in GIVEN if given != RAY],
        choices=list(GIVEN),
    )
    parser.add_argument("--alone", type=int, help="workers of one campaign, told in JSON")
    options = parser.parse_args()
    if options.alone is not None:
        asked = options.alone, options.trials
        one = (
            bare(*asked)
            if options.given == [BARE]
            else campaign(asked[0], options.given[0], asked[1])
        )
        print(json.dumps(one))
        return
    print(f"Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {options.rounds}.")
    rounds = [
        {given: [measured(n, given, options.trials) for n in (1, 2)] for given in options.given}
        for _ in range(options.rounds)
    ]
    print(table(rounds))


def table(rounds: list[dict[str, list[dict[str, float]]]]) -> str:
    """Medians over rounds; those of the campaigns also over the bare passes of the same round."""
    lines = [
        "| the model is given | a trial, one worker | two are faster by | of what passes are "
        "| by processor time | private MB of a worker |",
        "|---|---|---|---|---|---|",
    ]
    gains = {
        given: [turn[given][0]["seconds"] / turn[given][1]["seconds"] for turn in rounds]
        for given in rounds[0]
    }
    own = gains.get(BARE, [float("nan")] * len(rounds))
    for given, gain in gains.items():
        both = [turn[given] for turn in rounds]
        share = statistics.median(a / b for a, b in zip(gain, own, strict=True))
        spent = statistics.median(2 * one["processor"] / two["processor"] for one, two in both)
        trial = statistics.median(one["processor"] for one, _ in both)
        private = statistics.median(two["private"] for _, two in both)
        lines.append(
            f"| {GIVEN[given]} | {1000 * trial:.0f} ms "
            f"| {statistics.median(gain):.2f} × ({min(gain):.2f} to {max(gain):.2f}) "
            f"| {share:.2f} | {spent:.2f} × | {private:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
