"""Detectors of torchvision and DETR of transformers: boxes, as many an image as they find."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.architectures.architecture import Architecture
from faultsim import Workload, tasks

FAMILY = "detection"
SIDE = {"min_size": 96, "max_size": 96}
VISION = ("torchvision",)


def pictures() -> list[dict[str, list[torch.Tensor]]]:
    """Two batches of images of different size."""
    sides = ((96, 80), (64, 96), (96, 96))
    first, *others = (torch.rand(3, *side) for side in sides)
    return [{"images": [first]}, {"images": others}]


def faster_rcnn() -> tuple[nn.Module, Any]:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as build

    return build(weights=None, weights_backbone=None, num_classes=5, **SIDE), pictures()


def mask_rcnn() -> tuple[nn.Module, Any]:
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    return MaskRCNN(backbone, num_classes=5, **SIDE), pictures()


def retinanet() -> tuple[nn.Module, Any]:
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, returned_layers=[2, 3, 4]
    )
    backbone.out_channels = 256
    return RetinaNet(backbone, num_classes=5, detections_per_img=20, **SIDE), pictures()


def ssdlite() -> tuple[nn.Module, Any]:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large as build

    return build(weights=None, weights_backbone=None, num_classes=5), pictures()


def detr() -> tuple[nn.Module, Any]:
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    config = DetrConfig(
        backbone_config=backbone, use_timm_backbone=False, use_pretrained_backbone=False,
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, num_queries=10,
    )  # fmt: skip
    return DetrForObjectDetection(config), [{"pixel_values": torch.rand(2, 3, 96, 96)}]


def detector(model: nn.Module, batches: Any) -> Workload:
    return Workload(model, batches, tasks.Detection(threshold=0.2), search=batches[:1])


ARCHITECTURES = [
    Architecture("fasterrcnn_mobilenet_v3_large", FAMILY, faster_rcnn, detector, VISION),
    Architecture("maskrcnn_resnet18", FAMILY, mask_rcnn, detector, VISION),
    Architecture("retinanet_resnet18", FAMILY, retinanet, detector, VISION),
    Architecture("ssdlite320_mobilenet_v3_large", FAMILY, ssdlite, detector, VISION),
    Architecture("DETR", FAMILY, detr, detector, ("transformers",)),
]
