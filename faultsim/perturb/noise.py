"""Additive Gaussian noise, as the common-corruptions benchmark has it."""

from __future__ import annotations

import torch

from faultsim.perturb.images import check_amount, check_images, draw_like
from faultsim.perturb.profiles import chosen


def gaussian_noise(
    x: torch.Tensor,
    *,
    sigma: float | None = None,
    severity: int | None = None,
    profile: str | None = None,
    generator: torch.Generator,
) -> torch.Tensor:
    """Add independent normal noise to every value and clip to [0, 1].

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions
    and perturbations", ICLR 2019.

    Args:
        x: (n, channels, height, width) in [0, 1].
        sigma: Standard deviation, in units of the images.
        severity: 1 to 5, with a profile and instead of ``sigma``.
        profile: Name of a table of severities, in :data:`faultsim.perturb.profiles.PROFILES`.
        generator: Draws the noise.

    Raises:
        ConfigError: Images or sigma out of range; not exactly one of sigma, or severity and
            profile; a profile without noise.
    """
    check_images(x)
    (sigma,) = chosen("noise", {"sigma": sigma}, severity, profile)
    check_amount("sigma", sigma)
    noise = draw_like(x, generator, lambda image: image.normal_(generator=generator))
    return (x.to(torch.float32) + sigma * noise).clamp(0, 1).to(x.dtype)
