"""Torchvision's segmenters, and its optical flow: a value for each pixel."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import SAMPLES, images
from faultsim import Workload, tasks

FAMILY = "torchvision, segmentation and optical flow"
NAMES = ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "fcn_resnet50")


def make(name: str) -> tuple[nn.Module, Any]:
    from torchvision import models

    model = models.get_model(name, weights=None, weights_backbone=None, num_classes=5)
    return model, list(zip(images().split(2), masks().split(2), strict=True))


def masks() -> torch.Tensor:
    """(n, side, side) classes of the pixels."""
    return torch.randint(5, (SAMPLES, 64, 64))


def segmenter(model: nn.Module, batches: Any) -> Workload:
    return Workload(model, batches, tasks.Segmentation(), search=batches[:1])


def raft() -> tuple[nn.Module, Any]:
    from torchvision.models.optical_flow import raft_small

    frames = 2 * torch.rand(2, 2, 3, 128, 128) - 1
    return raft_small(), [((frames[0], frames[1]), torch.zeros(2, 2, 128, 128))]


def flow(model: nn.Module, batches: Any) -> Workload:
    task = tasks.Regression(absolute=1, unit="pixels", read=lambda flows: flows[-1])
    return Workload(
        model, batches, task, lambda m, pair: m(*pair[0], num_flow_updates=2), search=batches
    )


ARCHITECTURES = [
    *(Architecture(n, FAMILY, partial(make, n), segmenter, ("torchvision",)) for n in NAMES),
    Architecture("raft_small", FAMILY, raft, flow, ("torchvision",)),
]
