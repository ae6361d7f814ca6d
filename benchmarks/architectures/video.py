"""Torchvision's classifiers of video."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import CLASSES, labelled

FAMILY = "torchvision, video"
NAMES = {"mc3_18": (4, 32), "r2plus1d_18": (4, 32)}
"""Frames, and the side of one."""


def make(name: str) -> tuple[nn.Module, Any]:
    from torchvision import models

    frames, side = NAMES[name]
    model = models.get_model(name, weights=None, num_classes=CLASSES)
    return model, labelled(torch.rand(4, 3, frames, side, side))


ARCHITECTURES = [
    Architecture(name, FAMILY, partial(make, name), needs=("torchvision",)) for name in NAMES
]
