"""Measures the cost of a trial, ours and others', over that of a bare pass."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import torch

import faultsim
from benchmarks.peers import rates
from benchmarks.peers.injectors import DRAWN, OURS, PEERS, bare, drawn_from, space_of
from benchmarks.peers.rates import processor_seconds
from benchmarks.resnet20 import resnet20

ROUNDS = 60
BATCHES = (1, 32)
AIMS = {1: 0.25, 32: 0.15}
RESULTS = Path(__file__).parent.parent / "results"


def measured(batch: int) -> dict[str, dict[str, float]]:
    """Medians and quartiles of the ratio to a bare pass, all interleaved in one run."""
    torch.manual_seed(0)
    images = torch.rand(batch, 3, 32, 32)
    trials = {name: make(images) for name, make in {**OURS, **PEERS}.items()}
    reference, drawing = bare(images), drawing_seconds()
    ratios: dict[str, list[float]] = {name: [] for name in trials}
    for number in range(ROUNDS + 10):
        for name, trial in trials.items():
            base = processor_seconds(reference)
            spent = processor_seconds(trial) + (drawing if name in OURS else 0.0)
            ratio = spent / base
            if number >= 10:  # the first warm up
                ratios[name].append(ratio)
    return {name: quartiles(found) for name, found in ratios.items()}


def drawing_seconds() -> float:
    """Of one of our faults, which are drawn before the first trial; theirs are drawn in it."""
    space = space_of(resnet20())
    return processor_seconds(lambda: list(drawn_from(space))) / DRAWN


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def table(found: dict[int, dict[str, dict[str, float]]]) -> str:
    lines = [
        "One random weight flip and a pass of ResNet-20 (32 × 32 pixels, float32, one thread),",
        f"in processor time, over a bare pass just before it: medians of {ROUNDS} interleaved",
        "rounds, with quartiles.",
        "",
        f"| | {' | '.join(f'batch {batch}' for batch in found)} |",
        f"|---|{'---|' * len(found)}",
    ]
    for name in next(iter(found.values())):
        cells = [
            f"{row[name]['median']:.2f} [{row[name]['low']:.2f}, {row[name]['high']:.2f}]"
            for row in found.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    aims = ", ".join(f"{aim} at batch {batch}" for batch, aim in AIMS.items())
    met = [batch for batch, aim in AIMS.items() if found[batch]["faultsim"]["median"] <= aim]
    reached = " and ".join(f"at batch {batch}" for batch in met) or "at neither"
    return "\n".join([*lines, "", f"The aim of faultsim is {aims}: it is met {reached}.", ""])


def main() -> None:
    torch.set_num_threads(1)
    with torch.no_grad():
        found = {batch: measured(batch) for batch in BATCHES}
    other = rates.measured()
    record = {
        "rounds": ROUNDS,
        "torch": str(torch.__version__),
        "faultsim": faultsim.__version__,
        "trial over a bare pass": {str(batch): row for batch, row in found.items()},
        **other,
    }
    page = f"{table(found)}\n{rates.table(other)}"
    (RESULTS / "peers.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / "peers.md").write_text(page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
