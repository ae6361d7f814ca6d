"""Quantised models: of torch.ao, of torchao, of torchvision."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import CLASSES, images, labelled
from benchmarks.architectures.recurrent import FEATURES, Reader, sequences

FAMILY = "quantised"


def dynamic() -> tuple[nn.Module, Any]:
    model = Reader(nn.LSTM, batch_first=True).eval()
    with warnings.catch_warnings():  # torch has deprecated it
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.Linear})
    return quantised, labelled(sequences())


def dense() -> nn.Module:
    hidden = nn.TransformerEncoderLayer(FEATURES, 2, 64, batch_first=True)
    return nn.Sequential(hidden, nn.Flatten(), nn.Linear(12 * FEATURES, CLASSES)).eval()


def weight_only() -> tuple[nn.Module, Any]:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = dense()
    quantize_(model, Int8WeightOnlyConfig())
    return model, labelled(sequences())


def whole(name: str) -> tuple[nn.Module, Any]:
    from torchvision.models import quantization

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(quantization, name)(weights=None, quantize=True, num_classes=CLASSES)
    return model, labelled(images(32))


ARCHITECTURES = [
    Architecture("LSTM, dynamic int8", FAMILY, dynamic),
    Architecture("encoder, torchao int8 weights", FAMILY, weight_only, needs=("torchao",)),
    Architecture("resnet18, int8", FAMILY, partial(whole, "resnet18"), needs=("torchvision",)),
    Architecture(
        "mobilenet_v2, int8", FAMILY, partial(whole, "mobilenet_v2"), needs=("torchvision",)
    ),
]
