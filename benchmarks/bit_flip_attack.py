"""The worst-case search on int8 and int4 weights beside the classical bit-flip attack.

    python -m benchmarks.bit_flip_attack [8] [4]

The progressive bit search of Rakin et al. (Bit-Flip Attack, ICCV 2019), written anew from the
paper: in every layer the bit is flipped whose gradient promises the most loss, the loss is taken,
and the layer where it grew most keeps its flip; until the network guesses. The search chooses each
flip by accuracy, as by default, by loss (``--choose-by loss``), and by loss with four sequences
(``--beam 4``). Five networks, trained here on the digits, and quantised. All attacks see the same
validation samples; the test samples, which none sees, count the flips until the accuracy is down.
Writes ``benchmarks/results/bit_flip_attack.json``; widths that are not named keep their rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear

from benchmarks.quantised import Int4Linear, Int8Linear, Words
from faultsim import Workload
from faultsim.campaign.subject import make_experiment, make_space
from faultsim.config import CampaignConfig
from faultsim.data import load_data
from faultsim.faults import FaultSet
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial
from faultsim.schedule import SCHEDULES, Context
from faultsim.workload.tasks import Classification

RESULTS = Path(__file__).parent / "results" / "bit_flip_attack.json"
SEEDS, FLIPS = range(5), 48
GOALS = (0.5, 0.2, 0.11)
BY_LOSS, BEAM = "worst-case, by loss", "worst-case, by loss, beam 4"
KINDS: dict[int, type[Words]] = {8: Int8Linear, 4: Int4Linear}


def trained(seed: int, images: torch.Tensor, labels: torch.Tensor, kind: type[Words]) -> nn.Module:
    """A perceptron of three layers, quantised."""
    torch.manual_seed(seed)
    size = images.shape[1]
    layers = [nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]
    model = nn.Sequential(*layers)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(20):
        for rows in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    return nn.Sequential(
        *(kind(each) if isinstance(each, nn.Linear) else each for each in model)
    ).eval()


def classical(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Iterator[None]:
    """Flips one bit more at each step, in place."""
    layers = [each for each in model if isinstance(each, Words)]
    while True:
        slopes = word_slopes(layers, model, images, labels)
        tried = []
        for layer, slope in zip(layers, slopes, strict=True):
            index, mask = best_bit(layer, slope)
            layer.flip(index, mask)
            tried.append((float(cross_entropy(model(images), labels)), layer, index, mask))
            layer.flip(index, mask)
        _, layer, index, mask = max(tried, key=lambda row: row[0])
        layer.flip(index, mask)
        yield


def word_slopes(
    layers: list[Words], model: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> list[torch.Tensor]:
    """Gradients of the loss by the values of the words."""
    reals = [layer.real().requires_grad_() for layer in layers]
    own = iter(reals)
    out = images
    for each in model:
        out = linear(out, next(own), each.bias) if isinstance(each, Words) else each(out)
    grads = torch.autograd.grad(cross_entropy(out, labels), reals)
    return [grad * layer.scale for grad, layer in zip(grads, layers, strict=True)]


def best_bit(layer: Words, slope: torch.Tensor) -> tuple[int, int]:
    """The word and the bit whose flip raises the loss most, to first order."""
    bits = torch.arange(layer.bits)
    worth = torch.where(bits == layer.bits - 1, -(1 << layer.bits - 1), 1 << bits)
    ones = layer.values().flatten()[:, None].int() >> bits & 1
    gain = slope.flatten()[:, None] * worth * (1 - 2 * ones)
    index, bit = divmod(int(gain.argmax()), layer.bits)
    return index, 1 << bit


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).double().mean())


def ours(experiment: Experiment, config: CampaignConfig) -> Iterator[FaultSet]:
    """What the search reports for 1, 2, 3 … flips."""
    space = make_space(config, experiment)
    search = experiment.search()
    context = Context(config, space, experiment.workload.model, lambda: search, 1)
    trials = SCHEDULES["worst-case"](context).trials
    batch = next(trials)
    while batch[0].cell["curve"] == "worst-case":
        yield from (trial.faults for trial in batch if trial.reports)
        batch = trials.send([experiment.run(trial) for trial in batch])


def followed(
    work: Workload, start: float, choose_by: Literal["objective", "loss"], beam: int = 1
) -> list[float]:
    """Accuracy on the test samples after 0, 1, 2 … flips of the search."""
    model = work.model
    include = tuple(f"{n}.{m.words}" for n, m in model.named_modules() if isinstance(m, Words))
    config = CampaignConfig(
        include=include,
        flips=tuple(range(1, FLIPS + 1)),
        trials=1,
        integers=True,
        choose_by=choose_by,
        beam=beam,
    )
    experiment = make_experiment(config, work)
    found = [start]
    for faults in ours(experiment, config):
        found.append(experiment.run(Trial(faults, {})).acc)
        if found[-1] <= min(GOALS):
            break
    return found


def curves(seed: int, kind: type[Words]) -> dict[str, list[float]]:
    """Accuracy on the test samples after 0, 1, 2 … flips, by attack."""
    data = load_data("digits")
    splits = [(s.images.flatten(1), s.labels) for s in (data.train, data.val, data.test)]
    (images, labels), val, test = splits
    model = trained(seed, images, labels, kind)
    work = Workload(model, [test], Classification(10), search=[val])
    start = accuracy(model, *test)
    found = {
        BEAM: followed(work, start, "loss", 4),
        BY_LOSS: followed(work, start, "loss"),
        "worst-case": followed(work, start, "objective"),
    }
    peer = [start]
    steps = classical(model, *val)
    while len(peer) <= FLIPS and peer[-1] > min(GOALS):
        next(steps)
        peer.append(accuracy(model, *test))
    return {**found, "bit-flip attack": peer}


def needed(curve: list[float], goal: float) -> int | None:
    """Flips until the accuracy is no higher."""
    return next((flips for flips, acc in enumerate(curve) if acc <= goal), None)


def main() -> None:
    torch.set_num_threads(1)
    widths = [int(width) for width in sys.argv[1:]] or list(KINDS)
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rows = [row for row in rows if row["bits"] not in widths]
    for width, seed in product(widths, SEEDS):
        found = curves(seed, KINDS[width])
        counts = {
            name: {str(goal): needed(curve, goal) for goal in GOALS}
            for name, curve in found.items()
        }
        rows.append(
            {"bits": width, "seed": seed, "accuracy": found["worst-case"][0], "flips": counts}
        )
        print(rows[-1], flush=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
