"""The study of fault models as tables: how often an event becomes a failure, and in which layers.

faultsim study --data SET ... --settings benchmarks/plans/fault_models.toml --out ALL
faultsim study --data SET ... --settings benchmarks/plans/fault_models_by_layer.toml --out LAYERS
python -m benchmarks.fault_models ALL LAYERS
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import fisher_exact, spearmanr

from faultsim.campaign.directory import Recorded, read_campaign
from faultsim.stats import Estimate, clopper_pearson

PAIRS = {"weights": ("seu", "mbu", "hbm2"), "activations": ("seu", "gpu-sdc")}
DRAWS = 1000
LEVEL = 0.05


def parts(study: Path, first: str, other: str) -> Iterator[tuple[str, Recorded, Recorded]]:
    """Name of the data set and the two campaigns of each that has both."""
    for folder in sorted(study.iterdir()):
        pair = folder / first, folder / other
        if all((one / "summary.json").is_file() for one in pair):
            yield folder.name, read_campaign(pair[0]), read_campaign(pair[1])


def share(count: int, n: int) -> str:
    rate: Estimate = clopper_pearson(count, n)
    assert rate.low is not None
    assert rate.high is not None
    return f"{rate.value:.2%} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"


def whole(study: Path) -> Iterator[str]:
    """A row for each data set and fault model, beside single bits."""
    for target, (base, *others) in PAIRS.items():
        for other in (base, *others):
            for name, single, run in parts(study, f"{target}-{base}", f"{target}-{other}"):
                counts = [
                    [sum(getattr(line, what) for line in one.lines) for what in ("sdc", "due")]
                    for one in (single, run)
                ]
                n = len(run.lines)
                told = [share(count, n) for count in counts[1]]
                sizes = n, len(single.lines)
                times = [
                    ratio(new, sizes[0], old, sizes[1]) for old, new in zip(*counts, strict=True)
                ]
                times = ["1", "1"] if other == base else times
                yield f"| {' | '.join([target, name, other, *told, *times])} |"


def ratio(one: int, n: int, other: int, m: int) -> str:
    """Of two shares, with the usual interval of its logarithm."""
    if not one or not other:
        return "–"
    value = one / n * m / other
    spread = np.exp(1.96 * np.sqrt(1 / one - 1 / n + 1 / other - 1 / m))
    return f"{value:.2f} × [{value / spread:.2f}, {value * spread:.2f}]"


def failures(run: Recorded) -> tuple[np.ndarray, np.ndarray]:
    """Failures and trials of each layer, in the model's order."""
    layers: dict[str, list[int]] = {}
    for line in run.lines:
        layers.setdefault(str(line.cell["layer"]), []).append(line.sdc + line.due)
    return np.array([sum(of) for of in layers.values()]), np.array(list(map(len, layers.values())))


def by_layer(study: Path) -> Iterator[str]:
    """How alike two rankings of the layers are, and two of single bits would be; who differs."""
    rng = np.random.default_rng(0)
    for target, (base, *others) in PAIRS.items():
        other = others[-1]
        for name, single, run in parts(study, f"{target}-{base}", f"{target}-{other}"):
            (one, n), (two, m) = failures(single), failures(run)
            found = spearmanr(one, two).statistic
            rates = rng.beta(one + 0.5, n - one + 0.5, (DRAWS, len(n)))
            alike = [spearmanr(*rng.binomial(n, [rate, rate])).statistic for rate in rates]
            low, middle, high = np.quantile(alike, [0.025, 0.5, 0.975])
            pairs = zip(one, n, two, m, strict=True)
            chances = np.sort(
                [fisher_exact([[a, i - a], [b, j - b]]).pvalue for a, i, b, j in pairs]
            )
            held = chances * np.arange(len(chances), 0, -1) < LEVEL  # Holm
            differ = int(np.argmin([*held, False]))
            means = f"{one.sum() / n.sum():.1%} | {two.sum() / m.sum():.1%}"
            yield (
                f"| {target} | {name} | {len(n)} | {other} | {means} | {found:.2f} | "
                f"{middle:.2f} [{low:.2f}, {high:.2f}] | {differ} |"
            )


if __name__ == "__main__":
    print(*whole(Path(sys.argv[1])), "", *by_layer(Path(sys.argv[2])), sep="\n")
