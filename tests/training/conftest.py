"""A model that draws on torch's own generator as it trains, as stochastic depth does."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from faultsim.config import TrainConfig


@pytest.fixture
def fresh(model):
    """Makes the same model again and again, with a dropout before its head."""
    noisy = copy.deepcopy(model)
    noisy.act = nn.Sequential(nn.ReLU(), nn.Dropout(0.1))
    return lambda: copy.deepcopy(noisy)


@pytest.fixture
def quick():
    """A recipe of a few small epochs."""

    def make(**settings) -> TrainConfig:
        return TrainConfig(
            **{"epochs": 6, "batch_size": 8, "lr": 0.03, "augment": "flip-affine"} | settings
        )

    return make


@pytest.fixture
def labels_of_two(dataset):
    """The data set with two labels an image: whether it is bright, and whether it is not dark."""
    from dataclasses import replace

    from faultsim.data import Split

    def several(split: Split) -> Split:
        return Split(split.images, torch.stack([split.labels == 2, split.labels > 0], 1).long())

    parts = {name: several(dataset.split(name)) for name in ("train", "val", "test")}
    return replace(dataset, num_classes=2, task="", classes=(), **parts)
