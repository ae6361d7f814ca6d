"""One model in other forms: half precision, a graph of torch.fx, ONNX, compiled, scripted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.architectures import classification
from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import images
from benchmarks.architectures.language import NEEDS, causal, reader
from faultsim import Workload, tasks

FAMILY = "half precision and other forms"
VISION = ("torchvision",)


def made() -> tuple[nn.Module, Any]:
    model, data = classification.make("resnet18")
    return model.eval(), data


def bfloat16() -> tuple[nn.Module, Any]:
    model, data = made()
    pairs = zip(images(32).bfloat16().split(2), data["test"][1].split(2), strict=True)
    return model.bfloat16(), list(pairs)


def classifier(model: nn.Module, batches: Any) -> Workload:
    return Workload(model, batches, tasks.Classification(), search=batches[:1])


def float16() -> tuple[nn.Module, Any]:
    model, batches = causal("GPT2LMHead")
    return model.half(), batches


def traced() -> tuple[nn.Module, Any]:
    model, data = made()
    return torch.fx.symbolic_trace(model), data


def exported() -> tuple[nn.Module, Any]:
    model, data = made()
    batch = torch.export.Dim("batch", min=1, max=64)
    return torch.export.export(model, (images(32),), dynamic_shapes=({0: batch},)).module(), data


def compiled() -> tuple[nn.Module, Any]:
    model, data = made()
    return torch.compile(model, backend="aot_eager"), data


def scripted() -> tuple[nn.Module, Any]:
    model, data = made()
    return torch.jit.trace(model, images(32)), data


def onnx() -> tuple[nn.Module, Any]:
    from faultsim.models.onnx import load_onnx

    model, data = made()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet18.onnx"
        options: Any = {"dynamo": False, "opset_version": 13}
        axes = {"x": {0: "n"}}
        torch.onnx.export(
            model, (images(32),), str(path), input_names=["x"], dynamic_axes=axes, **options
        )
        return load_onnx(path), data


ARCHITECTURES = [
    Architecture("resnet18, bfloat16", FAMILY, bfloat16, classifier, VISION),
    Architecture("GPT-2, float16", FAMILY, float16, reader, NEEDS),
    Architecture("resnet18, torch.fx", FAMILY, traced, needs=VISION),
    Architecture("resnet18, ONNX", FAMILY, onnx, needs=(*VISION, "onnx", "onnx2torch")),
    Architecture("resnet18, compiled", FAMILY, compiled, needs=VISION),
    Architecture("resnet18, torch.export", FAMILY, exported, needs=VISION),
    Architecture("resnet18, torch.jit", FAMILY, scripted, needs=VISION),
]
