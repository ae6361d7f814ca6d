"""Generators, and a convolutional model whose gradients differ from pixel to pixel."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import faultsim


@pytest.fixture
def seeded():
    return lambda seed=0: torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def digits():
    """The shipped model, and digits that it was not trained on."""
    split = faultsim.load_data("digits").test.first(16)
    model = faultsim.load_model("medmamba-n", num_classes=10, in_channels=1, data="digits")
    return model, split.images, split.labels


@pytest.fixture
def convnet() -> nn.Module:
    torch.manual_seed(3)
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3))
    return nn.Sequential(*layers, nn.Dropout(0.5)).eval()


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(6) % 3
