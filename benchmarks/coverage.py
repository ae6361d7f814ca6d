"""How often each interval of the project holds what it estimates, by simulation on known truth.

    python benchmarks/coverage.py

writes ``benchmarks/results/coverage.json`` and ``docs/coverage.md``. An interval fails where it
covers less than it promises minus twice the error of the simulation.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, t

from faultsim.stats import areas, bounded_mean, clopper_pearson, image_rate, paired_change
from faultsim.stats.tail import positive

HERE = Path(__file__).parent
SIZES, REPETITIONS, LEVELS = (20, 100, 400, 2000), 2000, (0.95, 0.99)
FEWER = {2000: 400}  # repetitions of areas over so many images, each of which takes 0.15 seconds
SAMPLES = 200  # of a trial
SEARCHED = 100  # repetitions whose Gaffke bounds are searched for, for their width and as a check
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def shares(chance: float) -> Draw:
    return lambda rng, shape: (rng.random(shape) < chance).astype(float)


def clustered(rate: float) -> Draw:
    """Most trials 0, others Beta(0.5, 0.63): samples within a fault correlate by 0.70."""
    hit = rate * 1.13 / 0.5

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        harm = rng.binomial(SAMPLES, rng.beta(0.5, 0.63, shape)) / SAMPLES
        return np.where(rng.random(shape) < hit, harm, 0)

    return draw


def collapsing(chance: float) -> Draw:
    """Accuracies near 0.98, of which some fall below 0.3."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        usual = rng.binomial(SAMPLES, 0.98, shape) / SAMPLES
        fallen = rng.integers(0, 60, shape) / SAMPLES
        return np.where(rng.random(shape) < chance, fallen, usual)

    return draw


def fallen(chance: float) -> float:
    return (1 - chance) * 0.98 + chance * 29.5 / SAMPLES


def changing(lost: float, won: float) -> Draw:
    return lambda rng, shape: rng.choice([-1.0, 0, 1], shape, p=[lost, 1 - lost - won, won])


def protected(removed: float, introduced: float) -> Draw:
    """Of pairs of trials: harm that a protection takes away, and some that it does."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        harm = rng.binomial(SAMPLES, rng.beta(0.5, 0.63, shape)) / SAMPLES
        return harm * changing(removed, introduced)(rng, shape)

    return draw


def uniform(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.integers(0, SAMPLES + 1, shape) / SAMPLES


def by_share(row: np.ndarray, level: float) -> Any:
    return clopper_pearson(int(row.sum()), len(row), level)


def by_samples(row: np.ndarray, level: float) -> Any:
    return image_rate(row * SAMPLES, np.full(len(row), SAMPLES), level)


def by_mean(row: np.ndarray, level: float) -> Any:
    return bounded_mean(row, confidence=level)


def by_change(row: np.ndarray, level: float) -> Any:
    return paired_change(row < 0, row > 0, level)


def by_pairs(row: np.ndarray, level: float) -> Any:
    return bounded_mean(row, -1, 1, level, "pairs")


def of_excess(row: np.ndarray, level: float) -> Any:
    return bounded_mean(row, -1.1, 0.9, level)


def excess(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    both = rng.integers(0, 41, shape) / SAMPLES
    return np.where(rng.random(shape) < 0.03, both - 0.1 + 0.3, both - 0.1)


WHAT: dict[str, tuple[Callable[..., Any], list[tuple[str, Draw, float]]]] = {
    "share of trials (Clopper-Pearson)": (
        by_share, [(f"p = {p:g}", shares(p), p) for p in (0.5, 0.05, 0.02, 0.001)]
    ),
    "share of samples (Gaffke over trials)": (
        by_samples,
        [(f"{r:.3%}, correlation 0.70", clustered(r), r) for r in (0.01465, 0.00084)]
        + [("all or nothing, 2 %", shares(0.02), 0.02)],
    ),
    "mean accuracy (Gaffke over trials)": (
        by_mean,
        [(f"{c:.1%} collapse", collapsing(c), fallen(c)) for c in (0.02, 0.002)]
        + [("uniform", uniform, 0.5)],
    ),
    "paired change (Gaffke over images)": (
        by_change,
        [("5 % lost, 1 % won", changing(0.05, 0.01), -0.04),
         ("0.5 % lost", changing(0.005, 0), -0.005)],
    ),
    "difference of two campaigns (Gaffke over pairs)": (
        by_pairs,
        [(f"{r:.1%} removed, {i:.1%} introduced", protected(r, i), (i - r) * 0.5 / 1.13)
         for r, i in ((0.02, 0.002), (0.3, 0.05))],
    ),
    "excess loss (Gaffke over trials)": (of_excess, [("3 % much worse", excess, 0.009)]),
}  # fmt: skip


def excludes(hits: np.ndarray, truth: float, tail: float) -> bool:
    """Whether Gaffke's lower bound of a mean lies above the truth: its tail there, not its place.

    The bound is where the tail is reached, and the tail grows with the mean that is tested; so this
    is what a search for the bound would say, a tenth of the work.
    """
    values, counts = np.unique(np.append(hits, 0.0), return_counts=True)
    return bool(positive(truth - values, counts.astype(float)) < tail)


def held(rows: np.ndarray, ends: tuple[float, float], truth: float, level: float) -> float:
    """The share of rows whose Gaffke interval holds the truth."""
    low, span, tail = ends[0], ends[1] - ends[0], (1 - level) / 2
    shares, aim = (rows - low) / span, (truth - low) / span
    missed = [excludes(r, aim, tail) or excludes(1 - r, 1 - aim, tail) for r in shares]
    return 1 - float(np.mean(missed))


ENDS = {by_change: (-1.0, 1.0), by_pairs: (-1.0, 1.0), of_excess: (-1.1, 0.9)}
"""Of the means whose values are no shares."""


@cache
def known(
    make: Callable[..., Any], values: tuple[float, ...], counts: tuple[int, ...], level: float
) -> Any:
    """An interval depends on how often each value occurs alone: repeated samples are made once."""
    found = make(np.repeat(values, counts), level)
    return found.low, found.high


def of_rows(make: Callable[..., Any], rows: np.ndarray, level: float) -> np.ndarray:
    distinct = (np.unique(row, return_counts=True) for row in rows)
    return np.array([known(make, tuple(v.tolist()), tuple(c.tolist()), level) for v, c in distinct])


def student(rows: np.ndarray, level: float) -> np.ndarray:
    """What was used before for shares of samples, and nearly what a bootstrap gives."""
    n = rows.shape[1]
    half = t.ppf((1 + level) / 2, n - 1) * rows.std(axis=1, ddof=1) / math.sqrt(n)
    return np.stack([rows.mean(axis=1) - half, rows.mean(axis=1) + half], axis=1)


def wilson(rows: np.ndarray, level: float) -> np.ndarray:
    """What was used before for shares of trials."""
    n, share, z = rows.shape[1], rows.mean(axis=1), norm.ppf((1 + level) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.stack([centre - half, centre + half], axis=1)


def measured(ends: np.ndarray, truth: float) -> tuple[float, float]:
    covered = (ends[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= ends[:, 1])
    return float(covered.mean()), float(np.median(ends[:, 1] - ends[:, 0]))


def record(
    what: str, truth: str, n: int, level: float, now: Any, was: Any, runs: int
) -> dict[str, Any]:
    error = math.sqrt(level * (1 - level) / runs)
    return {
        "interval": what, "truth": truth, "n": n, "level": level, "repetitions": runs,
        "coverage": now[0], "width": now[1], "before": was[0], "width_before": was[1],
        "holds": now[0] >= level - 2 * error,
    }  # fmt: skip


def now_of(
    make: Callable[..., Any], rows: np.ndarray, truth: float, level: float
) -> tuple[float, float]:
    """Coverage, and median width."""
    if make is by_share:
        return measured(of_rows(make, rows, level), truth)
    few, ends = rows[:SEARCHED], ENDS.get(make, (0.0, 1.0))
    found = measured(of_rows(make, few, level), truth)
    assert abs(found[0] - held(few, ends, truth, level)) < 1e-12, "the tail contradicts the bound"
    return held(rows, ends, truth, level), found[1]


def means() -> list[dict[str, Any]]:
    found = []
    for what, (make, truths) in WHAT.items():
        before = wilson if make is by_share else student
        for name, draw, truth in truths:
            for n in SIZES:
                rows = draw(np.random.default_rng(n), (REPETITIONS, n))
                for level in LEVELS:
                    now = now_of(make, rows, truth, level)
                    was = measured(before(rows, level), truth)
                    found.append(record(what, name, n, level, now, was, REPETITIONS))
            print(f"{time.process_time():6.0f} s  {what}: {name}", flush=True)
            known.cache_clear()
    return found


def curves(sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    """Areas under a curve of normal scores; a share of 0.3 of the images is positive."""
    found = []
    for distance in (1.0, 3.0):
        truth = float(norm.cdf(distance / 2**0.5))
        for n in sizes:
            rng, runs = np.random.default_rng(n), FEWER.get(n, REPETITIONS)
            side = (np.arange(n) % 10 < 3)[:, None]
            ends: dict[float, list[Any]] = {level: [] for level in LEVELS}
            for _ in range(runs):
                drawn = areas(rng.normal(size=(n, 1)) + distance * side, side, truth)
                for level in LEVELS:
                    tail = (1 - level) / 2
                    low, high = np.quantile(drawn.least, tail), np.quantile(drawn.most, 1 - tail)
                    ends[level].append((low, high))
            for level, pairs in ends.items():
                now = measured(np.array(pairs), truth)
                what = "area under the curve (Bayesian bootstrap with ends)"
                found.append(record(what, f"{truth:.3f}", n, level, now, (None, None), runs))
            print(f"{time.process_time():6.0f} s  area {truth:.3f}, n = {n}", flush=True)
    return found


def cell(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f}"


def less(rows: list[dict[str, Any]]) -> str:
    """Where there are fewer repetitions, and why."""
    few = {r["n"]: r["repetitions"] for r in rows if r["repetitions"] < REPETITIONS}
    told = (f"; areas over {n:,} images, which take 0.15 s each, have {k}" for n, k in few.items())
    return "".join(told)


def page(rows: list[dict[str, Any]]) -> str:
    failed = [row for row in rows if not row["holds"]]
    lines = [
        "# Coverage of the intervals", "",
        "Made by `python benchmarks/coverage.py`. Share of simulated samples, in percent, whose "
        "interval holds the truth, its median width in percentage points, and the same of what was "
        "used before (Wilson for shares of trials, Student's t for the others).", "",
        f"{len(rows)} rows of {REPETITIONS:,} repetitions (widths of Gaffke's interval are of the "
        f"first {SEARCHED}{less(rows)}); "
        + (f"**{len(failed)} cover** less" if failed else "none covers less")
        + " than promised minus twice the simulation's own error.", "",
        "| interval | truth | n | promised | covers | width | before | width before |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        name = row["interval"] if row["holds"] else f"**fails:** {row['interval']}"
        lines.append(
            f"| {name} | {row['truth']} | {row['n']:,} | {cell(row['level'], 0)} | "
            f"{cell(row['coverage'])} | {cell(row['width'], 2)} | {cell(row['before'])} | "
            f"{cell(row['width_before'], 2)} |"
        )
    return "\n".join(lines) + "\n" + (HERE / "coverage_notes.md").read_text(encoding="utf-8")


def main() -> None:
    target = HERE / "results" / "coverage.json"
    rows = means()
    for size in SIZES:  # what is done is kept: the largest areas take longest
        write(target, rows)
        rows += curves((size,))
    write(target, rows)


def write(target: Path, rows: list[dict[str, Any]]) -> None:
    (HERE.parent / "docs").mkdir(exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (HERE.parent / "docs" / "coverage.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
