"""What training under bit flips gains in robustness, and what it costs in accuracy.

    pip install faultsim
    python examples/fault_aware_training.py

The embedded MedMamba-N for digits is trained for a few more steps, twice from the same weights and
on the same batches: once as it is, once with random flips in its weights at every step, given back
before the update (random bit error training: Stutz et al., MLSys 2021). Then both meet flips at the
same rate. Left alone is what such training cannot make good: bit 30 (a weight times 2^128), and
what is 2 or more, where bits 23 to 29 do as much: the state matrices and step sizes of the scans.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import faultsim

SPACE: dict[str, Any] = {"bits": "0-29", "exclude": ("*A_logs", "*dt_projs_bias", "*running_*")}


def embedded() -> nn.Module:
    """The shipped model, in eval mode, in which it stays: BatchNorm keeps its statistics."""
    return faultsim.load_model("medmamba-n", num_classes=10, in_channels=1, data="digits")


def trained(data: Any, steps: int, ber: float, batch: int = 64) -> nn.Module:
    """The model after so many more steps, each with bits of the weights struck at a rate."""
    model, images, labels = embedded(), data.train.images, data.train.labels.flatten()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    rows = torch.Generator().manual_seed(0)
    with faultsim.while_training(model, optimizer, ber=ber, lasting=False, **SPACE) as faults:
        for _ in range(steps):
            drawn = torch.randint(len(images), (batch,), generator=rows)
            loss = functional.cross_entropy(model(images[drawn]), labels[drawn])
            optimizer.zero_grad()
            loss.backward()
            if nn.utils.clip_grad_norm_(model.parameters(), 1.0).isfinite():
                optimizer.step()
            else:
                faults.skip()
    return model


def accuracy(model: nn.Module, data: Any, name: str, out: Path, **settings: Any) -> dict[str, Any]:
    """What a campaign says: accuracy without faults, and with them its mean and interval."""
    images, labels = data.test.images, data.test.labels.flatten()
    task = faultsim.tasks.Classification()
    work = faultsim.Workload(model, (images, labels), task, name=name)
    config = faultsim.CampaignConfig(mode="random", out=str(out / name), **SPACE, **settings)
    result = faultsim.run_campaign(config, work)
    summary = json.loads((result.directory / "summary.json").read_text())
    return {"golden": summary["golden"]["acc"], **summary["cells"][0]["accuracy"]}


def main(
    out: str | Path = "runs/fault-aware",
    steps: int = 160,
    ber: float = 3e-3,
    trials: int = 100,
    samples: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Trains both, and gives the accuracy of each with 95 % intervals.

    Args:
        out: A folder for the campaigns.
        steps: Of training.
        ber: Bit-error rate, of training and of the campaigns.
        trials: Of each campaign.
        samples: How many test images; None for all.
    """
    data = faultsim.load_data("digits")
    found = {}
    for name, rate in (("trained", 0.0), ("trained under faults", ber)):
        model = trained(data, steps, rate)
        found[name] = accuracy(model, data, name, Path(out), ber=ber, trials=trials, limit=samples)
    return found


if __name__ == "__main__":
    for name, figures in main().items():
        print(name, figures)
