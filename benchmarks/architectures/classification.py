"""Torchvision's classifiers: a campaign takes them as they are."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import CLASSES, images, labelled

FAMILY = "torchvision, classification"

NAMES = (
    "resnet18", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "swin_t",
    "shufflenet_v2_x0_5", "squeezenet1_1", "regnet_y_400mf", "mnasnet0_5",
)  # fmt: skip


def make(name: str) -> tuple[nn.Module, Any]:
    from torchvision import models

    return models.get_model(name, weights=None, num_classes=CLASSES), labelled(images(32))


ARCHITECTURES = [
    Architecture(name, FAMILY, partial(make, name), needs=("torchvision",)) for name in NAMES
]
