"""What replay and ranking may cost at most: trials against whole passes, ranking against reading.

    python -m benchmarks.limits

Processor time on one thread; what is compared runs in turn, and medians of ratios are given.
Writes ``benchmarks/results/limits.json`` and ``limits.md``.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.inference_granularity import NETS, Decides
from benchmarks.resnet20 import resnet20
from benchmarks.test_ranking import rank, read, weights_and_gradients
from faultsim import FaultSpace, Workload, inject
from faultsim.models.medmamba import medmamba
from faultsim.run.engine import Engine, make_engine

RESULTS = Path(__file__).parent / "results"
BATCH, ROUNDS, MOST, WARM = 32, 40, 240, 5
LONG = 0.04
"""Seconds of a pass so long that fewer than ``MOST`` rounds are taken, but ``ROUNDS`` at least."""
CPU = torch.device("cpu")
NEVER_SLOWER, LAST_STAGE, READING = 1.02, 1.12, 1.3
LARGER: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ResNet-20": (resnet20, (3, 32, 32)),
    "MedMamba nano": (lambda: medmamba("n", num_classes=10, in_channels=1), (1, 28, 28)),
    "ResNet-20 as a graph": (lambda: torch.fx.symbolic_trace(resnet20()), (3, 32, 32)),
    "two encoder layers": (
        lambda: nn.Sequential(
            nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 2),
            nn.Flatten(),
            nn.Linear(16 * 64, 10),
        ),
        (16, 64),
    ),
}


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def ratio(run: Callable[[int], object], reference: Callable[[int], object]) -> dict[str, float]:
    """Of two that are given the number of the round; which of them is first takes turns."""
    found: list[float] = []
    rounds = min(MOST, max(ROUNDS, int(LONG * ROUNDS / seconds(partial(reference, 0)))))
    for number in range(WARM + rounds):
        order = (run, reference) if number % 2 else (reference, run)
        spent = {each: seconds(partial(each, number)) for each in order}
        found.append(spent[run] / spent[reference])
    low, middle, high = statistics.quantiles(found[WARM:], n=4)
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def recorded(model: nn.Module, images: torch.Tensor) -> tuple[Workload, Engine, Engine]:
    """A network with its engine as a campaign has it, and with one that runs all of it."""
    work = Workload(model.eval(), images, Decides())
    batches = work.read("test", len(images))
    engines = [make_engine(work, batches, CPU, replay=replay) for replay in (True, False)]
    for engine in engines:
        engine.record(batches[0].inputs)
    return work, engines[0], engines[1]


def trials(
    work: Workload, engine: Engine, images: torch.Tensor, space: FaultSpace
) -> Callable[[int], None]:
    """Trials of single faults, by number; the same for every engine."""
    faults = list(space.samples(1, range(WARM + MOST), seed=0))

    def trial(number: int) -> None:
        with inject(work.model, faults[number]):
            engine.run(0, images, faults[number])

    return trial


def against_the_whole() -> Iterator[dict[str, Any]]:
    """Trials as a campaign runs them over those of the whole network, by what is struck."""
    for name, (make, shape) in (NETS | LARGER).items():
        torch.manual_seed(0)
        images = torch.randn(BATCH, *shape)
        work, replayed, whole = recorded(make(), images)
        every = FaultSpace(work.model, bits="0-3")  # no flip that makes a pass itself slower
        first = next(iter(every.layers().values()))
        inside = FaultSpace(work.model, "activations", bits="0-3", inputs=images)
        spaces = {"first layer": first, "any weight": every, "activations": inside}
        row: dict[str, Any] = {"network": name}
        for what, space in spaces.items():
            runs = [trials(work, engine, images, space) for engine in (replayed, whole)]
            row[what] = ratio(*runs)
        row["whole, twice"] = ratio(runs[1], trials(work, whole, images, inside))
        yield row


def last_stage() -> Iterator[dict[str, Any]]:
    """Trials in the last stage over its forward pass, from the values that it is given."""
    for batch in (1, 32, 128):
        yield {"what": f"batch {batch}"} | of_last_stage(batch)


def of_last_stage(batch: int) -> dict[str, float]:
    torch.manual_seed(0)
    images, model = torch.randn(batch, 3, 32, 32), resnet20()
    stage = next(n for n, part in enumerate(model) if wide(part))
    held = model[:stage](images)
    work, replayed, _ = recorded(model, images)
    name = next(name for name, _ in model[stage].named_parameters())
    space = FaultSpace(model, bits="0-3", include=[f"{stage}.{name}"])
    return ratio(trials(work, replayed, images, space), lambda _: model[stage:](held))


def wide(part: nn.Module) -> bool:
    """Whether it makes the most channels that the network has."""
    convolutions = [each for each in part.modules() if isinstance(each, nn.Conv2d)]
    return any(each.out_channels == 64 for each in convolutions)


def ranking() -> Iterator[dict[str, Any]]:
    """Ranking every bit of weights over reading them and their gradients."""
    for dtype in (torch.float32, torch.bfloat16):
        for n in (10**5, 10**6, 10**7):
            found = of_ranking(dtype, n)
            yield {"what": f"{str(dtype).removeprefix('torch.')}, {n:,} weights"} | found


def of_ranking(dtype: torch.dtype, n: int) -> dict[str, float]:
    weight, grad = weights_and_gradients(dtype, n)
    return ratio(lambda _: rank(weight, grad), lambda _: read(weight, grad))


def cell(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def page(record: dict[str, Any]) -> str:
    networks = record["replay"]
    kinds = [key for key in networks[0] if key != "network"]
    tried = [row[kind]["median"] for row in networks for kind in kinds[:-1]]
    noise = [row[kinds[-1]]["median"] for row in networks]
    lines = [
        "# What replay and ranking cost at most",
        "",
        f"Made by `python -m benchmarks.limits`: processor time, one thread, medians of {ROUNDS}",
        f"to {MOST} ratios in turn, with quartiles; torch {record['torch']}, load of the machine "
        f"{record['load']}.",
        "",
        f"A trial as a campaign runs it over one of the whole network, batches of {BATCH}. The",
        f"limit is {NEVER_SLOWER}; the largest median is {max(tried):.2f}. The last column has the",
        "whole network over itself, which shows what the measurement is good for: "
        f"{min(noise):.2f} to {max(noise):.2f}.",
        "",
        f"| network | {' | '.join(kinds)} |",
        f"|---|{'---|' * len(kinds)}",
        *(f"| {r['network']} | {' | '.join(cell(r[kind]) for kind in kinds)} |" for r in networks),
        "",
        "A trial in the first weight of ResNet-20's last stage over the forward pass of that",
        f"stage alone; the limit is {LAST_STAGE}.",
        "",
        "| | trial / stage |",
        "|---|---|",
        *(f"| {row['what']} | {cell(row)} |" for row in record["last stage"]),
        "",
        f"`rank_bits` over reading weights and gradients; the limit is {READING}.",
        "",
        "| | ranking / reading |",
        "|---|---|",
        *(f"| {row['what']} | {cell(row)} |" for row in record["ranking"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.set_num_threads(1)
    with torch.no_grad():
        record = {
            "torch": str(torch.__version__),
            "load": round(os.getloadavg()[0], 1),
            "ranking": list(ranking()),
            "last stage": list(last_stage()),
            "replay": list(against_the_whole()),
        }
    (RESULTS / "limits.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "limits.md").write_text(page(record), encoding="utf-8")
    print(page(record))


if __name__ == "__main__":
    main()
