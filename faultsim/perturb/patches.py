"""Patches of the image dropped at random."""

from __future__ import annotations

import torch

from faultsim.errors import ConfigError
from faultsim.perturb.images import check_images


def patch_drop(
    x: torch.Tensor,
    *,
    grid: int,
    fraction: float,
    generator: torch.Generator,
    share_mask: bool = False,
) -> torch.Tensor:
    """Set exactly ``round(fraction * grid**2)`` patches of a grid to 0 in each image.

    Pixel p of a side is in patch ⌊p · grid / side⌋, so that the patches of a side which the grid
    does not divide differ by one pixel at most.

    Source: Naseer et al., "Intriguing properties of vision transformers", NeurIPS 2021.

    Args:
        x: (n, channels, height, width) in [0, 1].
        grid: Patches along each side, at most its pixels.
        fraction: Of the patches to drop, 0 to 1.
        generator: Draws the patches.
        share_mask: Whether one draw holds for the whole batch, as in published code; the result
            then depends on how images are batched.

    Raises:
        ConfigError: Images, grid or fraction out of range.
    """
    check_images(x)
    height, width = x.shape[-2:]
    if not 1 <= grid <= min(height, width):
        raise ConfigError(f"a grid of {grid} does not fit images of {height} × {width} pixels")
    if not 0 <= fraction <= 1:
        raise ConfigError(f"the fraction of patches to drop must be in 0 to 1, not {fraction}")
    dropped = _draw_patches(1 if share_mask else len(x), grid, fraction, generator).to(x.device)
    rows, columns = (torch.arange(n, device=x.device) * grid // n for n in (height, width))
    return x.masked_fill(dropped[:, None, rows[:, None], columns], 0)


def _draw_patches(n: int, grid: int, fraction: float, generator: torch.Generator) -> torch.Tensor:
    """(n, grid, grid) bool, drawn image by image."""
    device = generator.device
    dropped = torch.zeros(n, grid**2, dtype=torch.bool, device=device)
    for image in dropped:
        order = torch.randperm(grid**2, generator=generator, device=device)
        image[order[: round(fraction * grid**2)]] = True
    return dropped.view(n, grid, grid)
