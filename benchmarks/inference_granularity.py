"""A batch of faults in one pass: whether each is the real flip's, and what a pass costs.

    python -m benchmarks.inference_granularity

Random single flips, half of them in exponents, in small networks of every kind of layer with random
weights. Each is carried by one sample of a batch, from the start and behind a cut, and struck for
real in a pass of its own; the rows are compared bit for bit. Writes
``benchmarks/results/inference_granularity.json`` and ``docs/granularity.md``.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import nn

from faultsim import FaultSpace, Workload, inject
from faultsim.devices import reproducibly
from faultsim.models.medmamba import MedMamba
from faultsim.ops import sample_uniform
from faultsim.run.carried.inferences import Inferences, Pair
from faultsim.run.carried.rows import one_of, one_sample
from faultsim.run.engine import make_engine
from faultsim.run.golden import golden_run
from faultsim.workload import Batch, Task
from faultsim.workload.outputs import identical

HERE = Path(__file__).parent
BATCH, FAULTS, ROUNDS = 32, 640, 5
TIMED, FEW = FAULTS // ROUNDS, 16
CPU = torch.device("cpu")
COLUMNS = (
    *("network", "dtype", "rows differ", "outputs changed", "bare pass", "flipped", "carried"),
    *("behind cuts", "as measured", "saves", "alone"),
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
    """One network, and its faults with the samples that carry them.

    Attributes:
        work: The network.
        batch: Its samples.
        pairs: Of faults and samples.
        ways: By name, trials that share passes.
    """

    work: Workload
    batch: Batch
    pairs: list[Pair]
    ways: dict[str, Inferences]

    def flipped(self, pair: Pair, *, alone: bool = False) -> Any:
        """The sample's output with the faults in the model: in its batch, or alone in a pass."""
        faults, sample = pair
        given = (one_of(self.batch, sample) if alone else self.batch).inputs
        with torch.no_grad(), inject(self.work.model, faults):
            output = self.work.run(given).cpu()
        return output if alone else one_sample(output, BATCH, sample)

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
    batches = work.read("test", BATCH)
    spaces = FaultSpace(model), FaultSpace(model, bits="exponent")
    samples = [int(sample_uniform(BATCH, 1, seed=1, trial=n)) for n in range(FAULTS)]
    faults = [spaces[n % 2].sample(1, seed=0, trial=n) for n in range(FAULTS)]
    cut, whole = (make_engine(work, batches, device, replay=replay) for replay in (True, False))
    golden = {engine: golden_run(work, batches, engine) for engine in (cut, whole)}
    ways = {
        "carried": Inferences(work, golden[whole], device, measured=False),
        "behind cuts": Inferences(work, golden[cut], device, measured=False),
        "as measured": Inferences(work, golden[cut], device),
    }
    return Bench(work, batches[0], list(zip(faults, samples, strict=True)), ways)


def measure(made: Bench) -> dict[str, Any]:
    """Equal rows and decisions, and medians of times that were taken in turn."""
    rows = [made.flipped(pair) for pair in made.pairs]
    blocks = [made.pairs[n : n + TIMED] for n in range(0, FAULTS, TIMED)]
    found = {
        name: [each for block in blocks for each in way.run(block)]
        for name, way in made.ways.items()
    }
    both = {
        name: [(a, each.output) for a, each in zip(rows, way, strict=True)]
        for name, way in found.items()
    }
    outputs = [pair for pairs in both.values() for pair in pairs]
    took: dict[str, list[float]] = defaultdict(list)
    for some in blocks:
        took["bare"].append(seconds(made.bare))
        for name, way in made.ways.items():
            took[name].append(seconds(partial(way.run, some)) / TIMED)
        for name, alone in (("flipped", False), ("alone", True)):
            runs = [partial(made.flipped, pair, alone=alone) for pair in some[:FEW]]
            took[name].append(sum(map(seconds, runs)) / FEW)
    carried, measured = found["carried"], found["as measured"]
    return {
        "faults": len(rows),
        "rows_differ": sum(_differ(outputs)),
        "ways_differ": {name: sum(_differ(pairs)) for name, pairs in both.items()},
        "other_nan": sum(not identical(real, own) for real, own in outputs),
        "decisions_differ": sum(bool((a.argmax(1) != b.argmax(1)).any()) for a, b in outputs),
        "for_real": sum(each.alone for each in carried),
        "changed": sum(not identical(each.golden, each.output) for each in carried),
        "chosen": sum(not each.alone for each in measured[-TIMED:]) / TIMED,
        "ms": {name: round(median(times) * 1e3, 3) for name, times in took.items()},
    }


def _differ(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> list[bool]:
    return [not identical(plain(real), plain(own)) for real, own in pairs]


def plain(output: torch.Tensor) -> torch.Tensor:
    """With one NaN for all: which of them a kernel gives depends on where in a vector it stands."""
    return output.where(~output.isnan(), torch.nan)


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
    keys = "faults", "rows_differ", "other_nan", "for_real"
    total = {key: sum(row[key] for row in rows) for key in keys}
    total["other_nan"] -= total["rows_differ"]
    lines = [
        "# A batch of faults in one pass",
        "",
        "Made by `python -m benchmarks.inference_granularity`, which says how; the record is",
        "`benchmarks/results/inference_granularity.json`. Under `--granularity inference` each",
        "sample of a batch carries a fault of its own in weights; what cannot be carried exactly,",
        "or was measured to be slower so, is flipped for real in a pass of its own.",
        "",
        f"{total['faults']:,} random single flips (half of them in exponents), batches of {BATCH},",
        f"each in three ways: the rows of **{total['rows_differ']}** differ in any bit from those",
        f"of the real flip ({total['other_nan']} more have a NaN where it has one of another sign,",
        "which kernels choose by the place in a vector; both are non-finite, and DUE);",
        f"{total['for_real'] / total['faults']:.1%} could not be carried.",
        "",
        "Milliseconds of processor time a fault:",
        "",
        "- **flipped**: in the model, in a pass of the whole batch: what every other way gives the",
        "  bits of.",
        "- **carried**: by its sample, in a pass that begins at the start.",
        "- **behind cuts**: the same, faults sorted, each pass from the last cut before its own.",
        "- **as measured**: what a campaign does, which carries where that was faster; in",
        "  brackets how many of its last faults. **saves** is against flipped.",
        "- **alone**: in the model, in a pass of the one sample: what one would write by hand,",
        "  whose last bits may be others than in the batch.",
        "",
        f"torch {record['torch']}, one thread, {record['machine']}; medians of {ROUNDS} rounds of",
        f"{TIMED} faults in turn ({FEW} of those that are flipped), load of the machine "
        f"{record['load']}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        ms = row["ms"]
        ways = (f"{ms[name]:.2f}" for name in ("bare", "flipped", "carried", "behind cuts"))
        lines.append(
            f"| {row['name']} | {row['dtype']} | {row['rows_differ']} | {row['changed']} "
            f"| {' | '.join(ways)} | {ms['as measured']:.2f} ({row['chosen']:.0%}) "
            f"| {ms['flipped'] / ms['as measured']:.1f} × | {ms['alone']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def measured(device: torch.device, share: int = 0, of: int = 1) -> Iterator[dict[str, Any]]:
    """The rows, one after the other; of several processes each may take a share."""
    every = [(name, dtype) for name in NETS for dtype in (torch.float32, torch.bfloat16)]
    for name, dtype in every[share::of]:
        row = {"name": name, "dtype": str(dtype).removeprefix("torch.")}
        with reproducibly(1):
            yield row | measure(bench(*NETS[name], dtype, device))


def main() -> None:
    networks: list[dict[str, Any]] = []
    for row in measured(CPU):
        networks.append(row)
        print(row, flush=True)
        write(networks)


def write(networks: list[dict[str, Any]]) -> None:
    """After each row: what is done is kept."""
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
