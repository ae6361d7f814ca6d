"""A batch of faults in one pass: whether each is the real flip's, and what a pass costs.

    python -m benchmarks.inference_granularity

Random single flips, half of them in exponents, in small networks of every kind of layer with random
weights. Each is carried by one sample of a batch, and struck for real in a pass of its own; the
rows of both are compared bit for bit. Writes ``benchmarks/results/inference_granularity.json`` and
``docs/granularity.md``.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import nn

from faultsim import FaultSpace, Workload, inject
from faultsim.devices import reproducibly
from faultsim.faults import FaultSet
from faultsim.models.medmamba import MedMamba
from faultsim.ops import sample_uniform
from faultsim.run.carried.inferences import Inferences
from faultsim.run.carried.rows import one_sample
from faultsim.run.engine import WholePass
from faultsim.run.golden import golden_run
from faultsim.workload import Task
from faultsim.workload.outputs import identical

HERE = Path(__file__).parent
BATCH, FAULTS, ROUNDS = 32, 640, 5
CPU = torch.device("cpu")
COLUMNS = (
    *("network", "dtype", "faults", "rows differ", "outputs changed", "for real", "in a pass"),
    *("bare, ms", "pass / bare", "saves"),
)


class Decides(Task):
    """A sample is corrupted when its largest output is another."""

    def changed(self, golden: Any, output: Any, batch: Any) -> torch.Tensor:
        found: torch.Tensor = golden.argmax(1) != output.argmax(1)
        return found


class Last(nn.Module):
    """The last output of a recurrent net, classified."""

    def __init__(self, recurrent: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.head = recurrent, nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.recurrent(x)[0][:, -1])
        return logits


class Residual(nn.Module):
    def __init__(self, *inside: nn.Module) -> None:
        super().__init__()
        self.inside = nn.Sequential(*inside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.relu(x + self.inside(x))
        return out


def conv(*middle: nn.Module, out: int = 16) -> nn.Module:
    first = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()
    return nn.Sequential(
        *first, *middle, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(out * 4, 10)
    )


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(12 * 32, 10))


def mixer() -> nn.Module:
    inside = nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 1)
    return conv(Residual(*inside), Residual(nn.GroupNorm(4, 16), nn.Conv2d(16, 16, 3, padding=1)))


IMAGES, SEQUENCES = (3, 16, 16), (12, 32)
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution": (lambda: conv(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()), IMAGES),
    "depthwise convolution": (
        lambda: conv(nn.Conv2d(16, 16, 3, groups=16), nn.Hardswish(), nn.Conv2d(16, 16, 1)),
        IMAGES,
    ),
    "grouped convolution": (
        lambda: conv(nn.Conv2d(16, 32, 3, groups=4), nn.ReLU(), out=32),
        IMAGES,
    ),
    "transposed convolution": (
        lambda: conv(nn.ConvTranspose2d(16, 8, 3, stride=2), nn.ReLU(), out=8),
        IMAGES,
    ),
    "residual": (mixer, IMAGES),
    "perceptron": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(384, 64), nn.ReLU(), nn.Linear(64, 10)),
        SEQUENCES,
    ),
    "attention": (encoder, SEQUENCES),
    "LSTM": (lambda: Last(nn.LSTM(32, 32, batch_first=True)), SEQUENCES),
    "GRU": (lambda: Last(nn.GRU(32, 32, batch_first=True)), SEQUENCES),
    "Mamba": (lambda: MedMamba(10, 3, (1, 1), (8, 16)), IMAGES),
}


class Bench(NamedTuple):
    """One network with its golden run."""

    work: Workload
    batch: Any
    inferences: Inferences
    pairs: list[tuple[FaultSet, int]]

    def real(self, faults: FaultSet) -> Any:
        with torch.no_grad(), inject(self.work.model, faults):
            return self.work.run(self.batch.inputs).cpu()

    def bare(self) -> Any:
        with torch.no_grad():
            return self.work.run(self.batch.inputs).cpu()


def bench(
    make: Callable[[], nn.Module],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device = CPU,
) -> Bench:
    torch.manual_seed(0)
    model = make().eval().to(device, dtype)
    work = Workload(model, torch.randn(BATCH, *shape).to(device, dtype), Decides())
    (batch,) = work.read("test", BATCH)
    golden = golden_run(work, [batch], WholePass(work, device))
    spaces = FaultSpace(model), FaultSpace(model, bits="exponent")
    samples = [int(sample_uniform(BATCH, 1, seed=1, trial=n)) for n in range(FAULTS)]
    faults = [spaces[n % 2].sample(1, seed=0, trial=n) for n in range(FAULTS)]
    pairs = list(zip(faults, samples, strict=True))
    return Bench(work, batch, Inferences(work, golden, device), pairs)


def measure(made: Bench) -> dict[str, Any]:
    """Equal rows and decisions, and medians of times that were taken in turn."""
    found = made.inferences.run(made.pairs)
    rows = [one_sample(made.real(faults), BATCH, sample) for faults, sample in made.pairs]
    outputs = list(zip(rows, (each.output for each in found), strict=True))
    carried = [p for p, each in zip(made.pairs, found, strict=True) if not each.alone]
    full = {sample: faults for faults, sample in carried[::-1]}
    many = [(faults, sample) for sample, faults in full.items()][: BATCH - 1]
    before = made.inferences.passes
    made.inferences.run(many)
    assert made.inferences.passes == before + 1, "these faults share one pass"
    runs = {
        "bare": made.bare,
        "carried": partial(made.inferences.run, many),
        "real": partial(made.real, many[0][0]),
    }
    took: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            took[name].append(seconds(run))
    bare, pass_, real = (median(took[name]) for name in ("bare", "carried", "real"))
    return {
        "faults": len(outputs),
        "rows_differ": sum(not identical(real, own) for real, own in outputs),
        "decisions_differ": sum(bool((a.argmax(1) != b.argmax(1)).any()) for a, b in outputs),
        "for_real": sum(each.alone for each in found),
        "changed": sum(not identical(each.golden, each.output) for each in found),
        "in_one_pass": len(many),
        "bare_ms": round(bare * 1e3, 3),
        "pass_over_bare": round(pass_ / bare, 2),
        "one_by_one_over_pass": round(real * len(many) / pass_, 1),
    }


def seconds(run: Callable[[], object]) -> float:
    """Processor time, which neighbours on the machine hardly change; on a device, time."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    run()
    return time.process_time() - start


def page(record: dict[str, Any]) -> str:
    rows = record["networks"]
    total = {key: sum(row[key] for row in rows) for key in ("faults", "rows_differ", "for_real")}
    lines = [
        "# A batch of faults in one pass",
        "",
        "Made by `python -m benchmarks.inference_granularity`, which says how; the record is",
        "`benchmarks/results/inference_granularity.json`. Under `--granularity inference` each",
        "sample of a batch carries a fault of its own in weights; what cannot be carried exactly",
        "is flipped for real, in a pass of its own.",
        "",
        f"{total['faults']:,} random single flips (half of them in exponents), batches of {BATCH}:",
        f"the rows of **{total['rows_differ']}** differ in any bit from those of the real flip;",
        f"{total['for_real'] / total['faults']:.1%} were flipped for real.",
        "",
        "- **pass / bare**: processor time of a pass that carries so many faults, over a bare one.",
        "- **saves**: time of as many real flips, a pass of the batch each, over that of this one.",
        "",
        f"torch {record['torch']}, one thread, {record['machine']}; medians of {ROUNDS} rounds in",
        f"turn, load of the machine {record['load']}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        share = row["for_real"] / row["faults"]
        lines.append(
            f"| {row['name']} | {row['dtype']} | {row['faults']} | {row['rows_differ']} "
            f"| {row['changed']} | {share:.1%} | {row['in_one_pass']} | {row['bare_ms']:.2f} "
            f"| {row['pass_over_bare']:.2f} | {row['one_by_one_over_pass']:.1f} × |"
        )
    return "\n".join(lines) + "\n"


def measured(device: torch.device) -> Iterator[dict[str, Any]]:
    """The rows, one after the other."""
    for name, (make, shape) in NETS.items():
        for dtype in (torch.float32, torch.bfloat16):
            row = {"name": name, "dtype": str(dtype).removeprefix("torch.")}
            with reproducibly(1):
                yield row | measure(bench(make, shape, dtype, device))


def main() -> None:
    networks = []
    for row in measured(CPU):
        networks.append(row)
        print(row, flush=True)
    record = {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "load": round(os.getloadavg()[0], 1),
        "networks": networks,
    }
    target = HERE / "results" / "inference_granularity.json"
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (HERE.parent / "docs" / "granularity.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
