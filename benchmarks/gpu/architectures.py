"""``python -m benchmarks.gpu.architectures SHARE/OF OUT``: other people's models on the device.

Each is struck in its weights and its activations, with replay and without: the journals must be the
same, byte by byte, and all words be as before.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.architectures.families import ARCHITECTURES
from benchmarks.architectures.measure import Bench, attempt
from benchmarks.architectures.words import words_of

NAMES = (
    *(
        "resnet18",
        "convnext_tiny",
        "swin_t",
        "vit_tiny_patch16_224",
        "ssdlite320_mobilenet_v3_large",
    ),
    *("fcn_resnet50", "BERT", "GPT-2", "Llama", "Mamba", "T5", "GPT-2, generating", "Whisper"),
    *("LSTM, two ways", "GRU, time first", "resnet18, bfloat16", "GPT-2, float16"),
    *("resnet18, torch.fx", "encoder, torchao int8 weights"),
)
TARGETS = ("weights", "activations")
LEFT_OUT = "left out"


def measure(name: str) -> dict[str, Any]:
    """What holds of one; what fails stands in it in words."""
    architecture = next(each for each in ARCHITECTURES if each.name == name)
    absent = architecture.missing()
    if absent is not None:
        return {f"{name}: {LEFT_OUT}": absent}
    torch.manual_seed(0)
    model, data = architecture.make()
    before = words_of(model)
    with TemporaryDirectory() as folder:
        bench = Bench(architecture, model, data, Path(folder), device="cuda")
        equal = {target: attempt(lambda t=target: bench.equal(t)) for target in TARGETS}
    found = {f"{name}: {target}, equal without replay": held for target, held in equal.items()}
    return found | {f"{name}: all words as before": words_of(model) == before}


def main() -> int:
    share, of = map(int, sys.argv[1].split("/"))
    found: dict[str, Any] = {}
    warnings.simplefilter("ignore")  # of packages, about themselves
    for name in NAMES[share::of]:
        found |= measure(name)
        (Path(sys.argv[2]) / "campaign.json").write_text(json.dumps(found, indent=1))
        print(found, flush=True)
    return 0 if all(held is True or LEFT_OUT in what for what, held in found.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
