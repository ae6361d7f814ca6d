"""Whole estimates against exhaustive truth: how often they hold, and how many trials they take.

    python benchmarks/estimate_coverage.py

tries every single bit flip of two small networks on every image once, which gives the truth and a
table; estimates then draw their trials from the table, through the code that campaigns use. Writes
``benchmarks/results/estimate_coverage.json`` and ``docs/estimation.md``.
"""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import norm
from sklearn.datasets import load_digits
from torch import nn

from faultsim import FaultSpace, inject
from faultsim.schedule.strata import strata_of
from faultsim.stats import Goal, SequentialRate, sample_size
from faultsim.stats.sequential import looks

HERE = Path(__file__).parent
REPETITIONS, IMAGES, WORKERS = 500, 200, 1
ALONE = 20  # repetitions without strata, for their cost
GOALS = [(confidence, margin) for confidence in (0.95, 0.99) for margin in (0.01, 0.003, 0.001)]


class Truth(NamedTuple):
    """Of one network: (faults, images) whether each failed, and the stratum of each fault."""

    failed: np.ndarray
    stratum: np.ndarray
    kin: np.ndarray
    layer: np.ndarray

    @property
    def rate(self) -> float:
        return float(self.failed.mean())

    def within(self, rows: np.ndarray) -> float:
        return float(self.failed[rows[self.stratum]].mean())


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    found = load_digits()
    return torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)


def trained(model: nn.Module) -> nn.Module:
    images, labels = digits()
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(40):
        for rows in torch.randperm(1400).split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    return model.eval()


def networks() -> dict[str, tuple[nn.Module, str]]:
    torch.manual_seed(0)
    perceptron = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    convolutional = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(54, 10),
    )  # fmt: skip
    return {
        "perceptron": (trained(perceptron), "all"),
        "convolutional, bits 0 to 28": (trained(convolutional), "0-28"),
    }


def truth_of(model: nn.Module, bits: str) -> Truth:
    images = digits()[0][1400 : 1400 + IMAGES]
    strata = strata_of(FaultSpace(model, bits=bits), "bit,layer")
    failed, stratum = [], []
    with torch.no_grad():
        golden = model(images).argmax(1)
        for number, (_, space) in enumerate(strata):
            for position in range(len(space)):
                with inject(model, space.locate([position])):
                    outputs = model(images)
                wrong = (outputs.argmax(1) != golden) | ~outputs.isfinite().all(1)
                failed.append(wrong.numpy())
                stratum.append(number)
    layers = {name: n for n, name in enumerate({s.labels["layer"]: 0 for s in strata})}
    kin = np.array([s.labels["bit"] for s in strata])
    layer = np.array([layers[s.labels["layer"]] for s in strata])
    return Truth(np.array(failed), np.array(stratum), kin, layer)


def estimated(truth: Truth, goal: Goal, rng: np.random.Generator, *, strata: bool) -> Any:
    """One whole estimate."""
    if strata:
        sizes = np.bincount(truth.stratum)
        starts, kin = np.cumsum(sizes) - sizes, truth.kin
    else:
        sizes, starts, kin = np.array([len(truth.failed)]), np.array([0]), np.array([0])
    rate, before = SequentialRate(sizes, goal, kin), 0
    for n in looks():
        where = rng.choice(len(sizes), n - before, p=rate.design.chances)
        faults = starts[where] + rng.integers(sizes[where])
        rate.add(where, truth.failed[faults, rng.integers(IMAGES, size=n - before)])
        before = n
        if rate.reached:
            return rate


def parts_held(truth: Truth, rate: Any) -> tuple[int, int]:
    """Of the intervals of each bit and layer, how many hold, and how many there are."""
    masks = [truth.kin == bit for bit in set(truth.kin)]
    masks += [truth.layer == layer for layer in set(truth.layer)]
    ends = [(rate.within(rows), truth.within(rows)) for rows in masks]
    return sum(e.low <= t <= e.high for e, t in ends), len(ends)


def row(name: str, truth: Truth, confidence: float, margin: float) -> dict[str, Any]:
    goal, started = Goal(margin=margin, confidence=confidence), time.process_time()
    spent, held, near, parts = [], 0, 0, np.zeros(2, int)
    for seed in range(REPETITIONS):
        rate = estimated(truth, goal, np.random.default_rng(seed), strata=True)
        found = rate.estimate
        spent.append(found.n)
        held += found.low <= truth.rate <= found.high
        near += abs(found.value - truth.rate) <= margin
        if seed % 10 == 0:
            parts += parts_held(truth, rate)
    known = norm.ppf((1 + confidence) / 2) ** 2 * truth.rate * (1 - truth.rate) / margin**2
    error = math.sqrt(confidence * (1 - confidence) / REPETITIONS)
    return {
        "network": name, "rate": truth.rate, "confidence": confidence, "margin": margin,
        "repetitions": REPETITIONS, "coverage": held / REPETITIONS,
        "within margin": near / REPETITIONS, "parts": int(parts[1]),
        "coverage of parts": parts[0] / parts[1],
        "holds": held / REPETITIONS >= confidence - 2 * error,
        "trials": float(np.median(spent)),
        "trials, 90th percentile": float(np.quantile(spent, 0.9)),
        "classical plan": sample_size(margin, confidence),
        "simple random, rate known": math.ceil(known),
        "without strata": float(np.median([
            estimated(truth, goal, np.random.default_rng(seed), strata=False).n
            for seed in range(ALONE)
        ])),
        "seconds": time.process_time() - started,
    }  # fmt: skip


def page(rows: list[dict[str, Any]]) -> str:
    failed = [r for r in rows if not r["holds"]]
    lines = [
        "# Estimates: coverage and cost", "",
        "Made by `python benchmarks/estimate_coverage.py`. Every single bit flip of two small "
        f"networks was tried on {IMAGES} images, which gives the true failure rate (SDC or DUE). "
        f"Then {REPETITIONS} whole estimates each, trials drawn from that table, stopped by "
        "themselves: `faultsim campaign --mode estimate` by bit and layer. "
        + (f"**{len(failed)} cover** less" if failed else "None covers less")
        + " than promised minus twice the simulation's own error.", "",
        "| network | true rate | promised | margin | covers | bits and layers cover | "
        "trials (median) | 90 % need at most | betting without strata | "
        "simple random, rate known | classical plan | saved |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        saved = r["classical plan"] / r["trials"], r["simple random, rate known"] / r["trials"]
        lines.append(
            f"| {r['network']} | {r['rate']:.3%} | {r['confidence']:.0%} | ±{r['margin']:.1%} | "
            f"{r['coverage']:.1%} | {r['coverage of parts']:.1%} of {r['parts']:,} | "
            f"{r['trials']:,.0f} | "
            f"{r['trials, 90th percentile']:,.0f} | {r['without strata']:,.0f} | "
            f"{r['simple random, rate known']:,} | {r['classical plan']:,} | "
            f"{saved[0]:.0f} ×, {saved[1]:.1f} × |"
        )
    lines += [
        "",
        "The interval is that of a betting martingale on importance-weighted trials "
        "(I. Waudby-Smith and A. Ramdas, JRSS-B 86, 2024): it holds whenever one stops. *Saved* "
        "is against the classical plan (Leveugle et al., DATE 2009), then against a simple random "
        "sample of fixed size whose true rate is known beforehand, which nobody has. Where a rate "
        "is far below the margin, that sample is smaller and proves nothing: its interval rests "
        "on the rate that it assumes.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(WORKERS) as pool:
        waiting = []
        for name, (model, bits) in networks().items():
            truth = truth_of(model, bits)
            print(f"{name}: {len(truth.failed):,} faults, {truth.rate:.3%} fail", flush=True)
            waiting += [pool.submit(row, name, truth, *goal) for goal in GOALS]
        for done in as_completed(waiting):
            rows.append(done.result())
            print(json.dumps(rows[-1]), flush=True)
            write(sorted(rows, key=lambda r: (-r["rate"], r["confidence"], -r["margin"])))


def write(rows: list[dict[str, Any]]) -> None:
    """After each row: what is done is kept."""
    target = HERE / "results" / "estimate_coverage.json"
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (HERE.parent / "docs").mkdir(exist_ok=True)
    (HERE.parent / "docs" / "estimation.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
