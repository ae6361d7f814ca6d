"""Figures of four protection papers beside those of a small network trained here.

    python -m benchmarks.protection_papers

A convolutional network is trained on scikit-learn's digits, in seconds. Ranger: single flips
in activations. FT-ClipAct: bit-error rates in float weights. RADAR: attacks of ten flips on int8
weights, found bit by bit (progressive bit search, A. S. Rakin et al., 2019). HBM2: events under
neutrons in weights behind SECDED and behind symbol codes. The same faults strike the bare and the
protected network. Prints the rows of the table in ``docs/protections.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import faultsim
from faultsim.faultmodels import load_fault_model
from faultsim.faultmodels.sampler import Sampler
from faultsim.protections import Detected
from faultsim.protections.radar import Radar
from faultsim.stats import bounded_mean, clopper_pearson

EPOCHS, BATCH, RATE = 12, 64, 3e-3
TRIALS, RANGER_TRIALS, ATTACKS, FLIPS = 40, 3000, 10, 10
RATES = (1e-5, 1e-4, 1e-3)
GROUPS = (512, 16)  # of the paper's ResNet-18; and for a network of a thousandth of its size
CODES, EVENTS = ("secded", "chipkill", "chipkill-2"), 30_000
TOP = 7  # bit of the sign in int8


def network() -> nn.Module:
    """About 24,000 weights, each layer followed by an activation as the papers have it."""
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def trained(data: Any) -> nn.Module:
    """The network after a few epochs of Adam."""
    torch.manual_seed(0)
    model, images, labels = network(), data.train.images, data.train.labels.flatten()
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    return model.eval()


def work_of(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> faultsim.Workload:
    return faultsim.Workload(model, (images, labels), faultsim.tasks.Classification(10))


def accuracy(work: faultsim.Workload, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((work.run(images).argmax(1) == labels).double().mean())


def interval(values: list[float], low: float = 0.0) -> str:
    found = bounded_mean(values, low, 1.0)
    assert found.low is not None
    assert found.high is not None
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def ranger(work: faultsim.Workload) -> Iterator[str]:
    """SDC of single flips in activations, and the time of a pass."""
    config = faultsim.CampaignConfig(
        mode="random", target="activations", flips=(1,), trials=RANGER_TRIALS,
        granularity="inference", threads=1,
    )  # fmt: skip
    for paid in faultsim.compare_protections(config, ["ranger", "ft-clipact"], work):
        sdc = next(change for change in paid.changes if change.rate == "sdc")
        left = sdc.second.value * RANGER_TRIALS
        fewer = f"{sdc.first.value / sdc.second.value:.1f} ×" if left else "all"
        yield (
            f"{paid.name}: SDC {sdc.first} to {sdc.second}: {fewer} fewer; removed {sdc.removed}, "
            f"introduced {sdc.introduced}; time ×{paid.cost.time:.3f}"
        )


def clipact(work: faultsim.Workload, images: torch.Tensor, labels: torch.Tensor) -> Iterator[str]:
    """Accuracy under bit-error rates in weights, without and with FT-ClipAct."""
    safe, space = faultsim.protect(work, "ft-clipact"), faultsim.FaultSpace(work.model)
    rng = np.random.default_rng(0)
    for rate in RATES:
        found: list[tuple[float, float]] = []
        for trial in range(TRIALS):
            count = max(1, int(rng.binomial(len(space), rate)))
            faults = space.sample(count, seed=1, trial=trial)
            with faultsim.inject(work.model, faults):
                bare = accuracy(work, images, labels)
            with faultsim.inject(safe.model, safe.around.moved(faults)):  # type: ignore[attr-defined]
                found.append((bare, accuracy(safe, images, labels)))
        gain = interval([new - old for old, new in found], -1.0)
        sides = [interval(list(side)) for side in zip(*found, strict=True)]
        yield f"ft-clipact at {rate:g}: accuracy {sides[0]} to {sides[1]}; {gain} points more"


def hbm2(work: faultsim.Workload) -> Iterator[str]:
    """Events of HBM2 in weights that are read in silence: as other numbers than were written."""
    written = dict(work.model.named_parameters())
    sampler = Sampler(load_fault_model("hbm2"), faultsim.FaultSpace(work.model), work.model)
    for name in CODES:
        safe = faultsim.protect(work, name)
        silent = detected = 0
        for trial in range(EVENTS):
            faults = sampler.draw(1, seed=0, trial=trial)
            with faultsim.inject(safe.model, safe.around.moved(faults)):  # type: ignore[attr-defined]
                try:
                    silent += any(_differs(safe.model, site.name, written) for site in faults.sites)
                except Detected:
                    detected += 1
        shares = [clopper_pearson(count, EVENTS) for count in (silent, detected)]
        yield (
            f"{name}: of {EVENTS:,} events {silent} are silent ({shares[0]}), {detected:,} are "
            f"detected ({shares[1]}), the others corrected"
        )


def _differs(model: nn.Module, name: str, written: dict[str, nn.Parameter]) -> bool:
    """Whether a weight is read as something else."""
    layer, _, leaf = name.rpartition(".")
    with torch.no_grad():
        return not torch.equal(getattr(model.get_submodule(layer), leaf), written[name])


class Int8(nn.Module):
    """A layer whose weights are int8 words in memory, with a scale for all."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        weight: Any = layer.weight
        self.scale = float(weight.detach().abs().max()) / 127
        self.register_buffer("weight", (weight.detach() / self.scale).round().to(torch.int8))
        self.bias, self.stride = layer.bias, getattr(layer, "stride", None)
        self.real: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight: Any = self.weight
        self.real = weight.float() * self.scale
        if torch.is_grad_enabled():
            self.real.requires_grad_()
        if self.stride is None:
            return functional.linear(x, self.real, self.bias)  # type: ignore[arg-type]
        return functional.conv2d(x, self.real, self.bias, self.stride, 1)  # type: ignore[arg-type]


def quantised(model: nn.Sequential) -> nn.Module:
    kinds = (nn.Conv2d, nn.Linear)
    return nn.Sequential(*(Int8(m) if isinstance(m, kinds) else m for m in model)).eval()


def attack(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[faultsim.Fault]:
    """Progressive bit search: each flip is that of most gain to first order."""
    layers = {name: m for name, m in model.named_modules() if isinstance(m, Int8)}
    kept = {name: layer.weight.clone() for name, layer in layers.items()}  # type: ignore[operator]
    found: list[tuple[str, int, int]] = []
    for _ in range(FLIPS):
        functional.cross_entropy(model(images), labels).backward()
        name, index, bit = max((_best(n, m, found) for n, m in layers.items()), key=lambda b: b[0])[
            1
        ]
        flat: Any = layers[name].weight.view(-1)  # type: ignore[operator]
        flat[index] ^= torch.tensor(1 << bit, dtype=torch.uint8).view(torch.int8)
        found.append((name, index, bit))
    for name, layer in layers.items():
        layer.weight.copy_(kept[name])  # type: ignore[operator]
    return [faultsim.Fault(f"{name}.weight", index, 1 << bit) for name, index, bit in found]


def _best(name: str, layer: Int8, before: list[Any]) -> tuple[float, tuple[str, int, int]]:
    assert layer.real is not None
    assert layer.real.grad is not None
    weight: Any = layer.weight
    words, slope = weight.view(-1).view(torch.uint8), layer.real.grad.view(-1) * layer.scale
    masks = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8)
    change = (words[:, None] ^ masks).view(torch.int8).float() - words.view(torch.int8)[:, None]
    gain = slope[:, None] * change
    for other, index, bit in before:
        if other == name:
            gain[index, bit] = -torch.inf
    place = int(gain.argmax())
    return float(gain.max()), (name, place // 8, place % 8)


def radar(
    model: nn.Module, data: Any, images: torch.Tensor, labels: torch.Tensor, group: int
) -> Iterator[str]:
    """How many of ten flips are found, and the accuracy before and after groups are lost."""
    work = work_of(model, images, labels)
    safe, space = (
        faultsim.protect(work, Radar(group=group)),
        faultsim.FaultSpace(model, integers=True),
    )
    caught, struck, left, tops = [], [], [], []
    for number in range(ATTACKS):
        rows = slice(BATCH * number, BATCH * (number + 1))
        given = data.train.images[rows], data.train.labels.flatten()[rows]
        faults = faultsim.FaultSet.of(attack(model, *given), space)
        with faultsim.inject(model, faults):
            struck.append(accuracy(work, images, labels))
        with faultsim.inject(safe.model, safe.around.moved(faults)):  # type: ignore[attr-defined]
            left.append(accuracy(safe, images, labels))
            caught += [_lost(safe.model, fault) for fault in faults]
        tops += [fault.mask & 0xFF == 1 << TOP for fault in faults]
    yield (
        f"radar, groups of {group}: {FLIPS * np.mean(caught):.1f} of {FLIPS} flips are found "
        f"({np.mean(tops):.0%} of flips strike the sign); accuracy "
        f"{100 * accuracy(work, images, labels):.1f} without a fault, {interval(struck)} attacked, "
        f"{interval(left)} with the groups lost"
    )


def _lost(model: nn.Module, fault: faultsim.Fault) -> bool:
    """Whether the word that was struck is read as 0."""
    weight: Any = model.get_submodule(fault.tensor.rpartition(".")[0]).weight
    return bool(weight.view(-1)[fault.index] == 0)


def main() -> None:
    torch.set_num_threads(1)
    data = faultsim.load_data("digits")
    images, labels = data.test.images, data.test.labels.flatten()
    model = trained(data)
    work = work_of(model, images, labels)
    print(f"accuracy {accuracy(work, images, labels):.3f}, {len(images)} test images", flush=True)
    for rows in (hbm2(work), ranger(work), clipact(work, images, labels)):
        for row in rows:
            print(row, flush=True)
    for group in GROUPS:
        for row in radar(quantised(model), data, images, labels, group):  # type: ignore[arg-type]
            print(row, flush=True)


if __name__ == "__main__":
    main()
