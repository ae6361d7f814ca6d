"""Classifiers of timm."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import CLASSES, images, labelled

FAMILY = "timm"
SIZED: dict[str, Any] = {"img_size": 64}
NAMES: dict[str, dict[str, Any]] = {
    "convnext_atto": {}, "vit_tiny_patch16_224": SIZED, "mobilevit_xxs": {}, "ghostnet_050": {},
    "edgenext_xx_small": {}, "xcit_nano_12_p16_224": SIZED, "mixer_s32_224": SIZED,
}  # fmt: skip
"""With what their factories need to be small."""


def make(name: str) -> tuple[nn.Module, Any]:
    import timm

    return timm.create_model(name, num_classes=CLASSES, **NAMES[name]), labelled(images())


def swin() -> tuple[nn.Module, Any]:
    from timm.models.swin_transformer import SwinTransformer

    model = SwinTransformer(
        img_size=32, patch_size=2, window_size=4, embed_dim=16, depths=(2, 2), num_heads=(2, 4),
        num_classes=CLASSES,
    )  # fmt: skip
    return model, labelled(images(32))


ARCHITECTURES = [
    *(Architecture(name, FAMILY, partial(make, name), needs=("timm",)) for name in NAMES),
    Architecture("Swin, of timm", FAMILY, swin, needs=("timm",)),
]
