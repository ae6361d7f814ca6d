"""Small random motions of training images."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

SHIFT = 0.08  # of the side
TURN = math.radians(12)
SCALE = 0.1


def random_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image mirrored left to right, or not, with equal chances.

    Args:
        images: (n, channels, height, width).
        generator: On the CPU; nothing else is drawn from.
    """
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)


def random_affine(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image shifted, turned and scaled on its own; its edge goes on where nothing was.

    Black wedges instead would be a mark of training images alone; where images fill their frame
    (BreastMNIST, PneumoniaMNIST) the validation loss was higher with them.

    Args:
        images: (n, channels, height, width).
        generator: On the CPU; nothing else is drawn from.
    """
    shift_x, shift_y, turn, scale = torch.rand(4, len(images), generator=generator) * 2 - 1
    angle, size = turn * TURN, 1 + scale * SCALE
    cosine, sine = torch.cos(angle) * size, torch.sin(angle) * size
    # grid_sample's coordinates run from -1 to 1, hence twice the share of the side.
    rows = [cosine, -sine, shift_x * 2 * SHIFT, sine, cosine, shift_y * 2 * SHIFT]
    matrices = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


AUGMENTATIONS = {
    "none": (),
    "flip": (random_flip,),
    "affine": (random_affine,),
    "flip-affine": (random_flip, random_affine),
}
"""What each choice of ``--augment`` does to a batch on the CPU, in this order."""
