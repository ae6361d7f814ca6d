"""What a configuration means: learning rates, class weights, and the command that repeats it."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from faultsim.config import TrainConfig


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """The rate of an epoch, from 1: a tenth after half of them, a hundredth after three quarters.

    The schedule with which MedMNIST's own baselines were trained (Yang et al., "MedMNIST v2",
    Scientific Data, 2023).
    """
    done = epoch - 1
    drops = (2 * done >= config.epochs) + (4 * done >= 3 * config.epochs)
    return config.lr * 0.1**drops


def balanced_weights(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Weights under which every class, or the two values of every label, count the same.

    Args:
        labels: (n,) int64 classes, or (n, classes) of 0 and 1.
        num_classes: Number of classes or labels.

    Returns:
        (classes,) float32: n / (classes · count) of each class (King and Zeng, 2001), or negatives
        / positives of each label. A count of 0 is taken as 1.
    """
    if labels.ndim == 2:
        positives = labels.sum(dim=0)
        return (len(labels) - positives) / positives.clamp(min=1)
    counts = torch.bincount(labels, minlength=num_classes).clamp(min=1)
    return len(labels) / (num_classes * counts)


def recipe(config: TrainConfig) -> dict[str, Any]:
    """The settings that shape the weights; where files lay says nothing about them."""
    settings = asdict(config)
    for name in ("out", "data_root", "resume"):
        del settings[name]
    return settings | {"data": Path(config.data).name}


def command(config: TrainConfig) -> str:
    """The ``faultsim train`` command of a recipe, every setting spelt out."""
    words = ["faultsim", "train"]
    for name, value in recipe(config).items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
