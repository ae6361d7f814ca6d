"""What all perturbations share: images that are checked, draws that no batching changes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from faultsim.errors import ConfigError


def check_images(x: torch.Tensor) -> None:
    """Refuse what is no batch of images in [0, 1].

    Raises:
        ConfigError: Not (n, channels, height, width), not floating point, or a value out of range.
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise ConfigError(
            f"images must be (n, channels, height, width) floating point, not {tuple(x.shape)} "
            f"{x.dtype}; scale 8-bit images by 1/255"
        )
    # NaN is in no range, so it fails the comparison.
    if x.numel() and not (x.min() >= 0 and x.max() <= 1):
        raise ConfigError(
            f"images must lie in [0, 1], not {x.min():g} to {x.max():g}: normalise in the model"
        )


def check_amount(name: str, value: float) -> None:
    """Refuse a negative, infinite or undefined number.

    Raises:
        ConfigError: Naming it.
    """
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"{name} must be a finite number of at least 0, not {value}")


def draw_like(
    x: torch.Tensor, generator: torch.Generator, fill: Callable[[torch.Tensor], object]
) -> torch.Tensor:
    """Random numbers in the shape of the images, drawn image by image.

    One draw for all would depend on how the images are batched.

    Args:
        x: (n, channels, height, width).
        generator: On whose device numbers are drawn.
        fill: Fills one image's (channels, height, width) float32 from the generator.

    Returns:
        Float32, on the device of ``x``.
    """
    numbers = torch.empty(x.shape, dtype=torch.float32, device=generator.device)
    for image in numbers:
        fill(image)
    return numbers.to(x.device)
