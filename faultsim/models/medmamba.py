"""MedMamba (arXiv 2403.03849), with the parameter names of its published checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from faultsim.errors import ConfigError
from faultsim.models.ss2d import SS2D

VARIANTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "n": ((1, 1, 1, 1), (18, 36, 72, 144)),
    "t": ((2, 2, 4, 2), (96, 192, 384, 768)),
    "s": ((2, 2, 8, 2), (96, 192, 384, 768)),
    "b": ((2, 2, 12, 2), (128, 256, 512, 1024)),
}
"""Depths and widths; ``n`` is this project's own, the others are the publication's."""

PATCH = 4
DROP_PATH = 0.1


def medmamba(
    variant: str = "t",
    *,
    num_classes: int,
    in_channels: int = 3,
    depths: Sequence[int] | None = None,
    dims: Sequence[int] | None = None,
) -> MedMamba:
    """A MedMamba with fresh weights.

    Args:
        variant: ``n`` (nano), ``t``, ``s`` or ``b``.
        num_classes: Number of logits.
        in_channels: Channels of the images.
        depths: Blocks in each stage, instead of the variant's.
        dims: Channels of each stage, even, instead of the variant's.

    Raises:
        ConfigError: Unknown variant.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"unknown MedMamba variant {variant!r}: use {', '.join(VARIANTS)}")
    default_depths, default_dims = VARIANTS[variant]
    return MedMamba(num_classes, in_channels, depths or default_depths, dims or default_dims)


class MedMamba(nn.Module):
    """Patch embedding, four stages of SS-Conv-SSM blocks, mean over the map, linear head."""

    def __init__(
        self, num_classes: int, in_channels: int, depths: Sequence[int], dims: Sequence[int]
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(in_channels, dims[0])
        blocks = sum(depths)
        drops = iter([DROP_PATH * block / max(1, blocks - 1) for block in range(blocks)])
        stages = []
        for depth, (dim, after) in zip(depths, pairwise([*dims, 0]), strict=True):
            stages.append(Stage([next(drops) for _ in range(depth)], dim, merge=after > 0))
        self.layers = nn.ModuleList(stages)
        self.head = nn.Linear(dims[-1], num_classes)
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) in [0, 1] to logits (batch, num_classes)."""
        x = self.patch_embed(images)
        for layer in self.layers:
            x = layer(x)
        logits: torch.Tensor = self.head(x.mean(dim=(1, 2)))
        return logits


class PatchEmbedding(nn.Module):
    """Non-overlapping patches to normalised vectors, channels last."""

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return x


class Stage(nn.Module):
    """Blocks of one resolution, then patch merging if another stage follows."""

    def __init__(self, drops: Sequence[float], dim: int, merge: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(dim, drop) for drop in drops])
        self.downsample = PatchMerging(dim) if merge else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class Block(nn.Module):
    """SS-Conv-SSM: one half of the channels is convolved, the other scanned, then both shuffled."""

    def __init__(self, dim: int, drop_path: float) -> None:
        super().__init__()
        half = dim // 2
        self.drop_path = drop_path
        self.ln_1 = nn.LayerNorm(half)
        self.self_attention = SS2D(half)
        self.conv33conv33conv11 = nn.Sequential(
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 1),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=-1)
        right = self._dropped(self.self_attention(self.ln_1(right)))
        left = self.conv33conv33conv11(left.permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1)
        both = torch.stack([left, right], dim=-1)  # shuffled: left and right channels alternate
        return both.flatten(-2) + x

    def _dropped(self, x: torch.Tensor) -> torch.Tensor:
        """Stochastic depth: whole samples are zeroed in training (arXiv 1603.09382)."""
        if not self.training or self.drop_path == 0:
            return x
        keep = 1 - self.drop_path
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(keep) / keep


class PatchMerging(nn.Module):
    """Halves the map and doubles the channels.

    An odd last row or column is dropped, as the published code does; a map of side 1 is first
    padded with zeros to 2, where the published code fails.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, height, width, _ = x.shape
        if height < 2 or width < 2:
            x = functional.pad(x, (0, 0, 0, max(0, 2 - width), 0, max(0, 2 - height)))
        x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        merged: torch.Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return merged


def _initialise(module: nn.Module) -> None:
    """The publication's, but for convolutions ``fan_in`` instead of ``fan_out``.

    The latter leaves depthwise kernels almost zero; small models then reached a lower validation
    AUC on BreastMNIST and RetinaMNIST, in two seeds each.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
