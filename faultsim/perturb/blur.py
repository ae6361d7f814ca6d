"""Defocus blur: a disk for a kernel, as the common-corruptions benchmark makes it with OpenCV."""

from __future__ import annotations

import torch
from torch.nn import functional

from faultsim.errors import ConfigError
from faultsim.perturb.images import check_amount, check_images
from faultsim.perturb.profiles import chosen


def defocus_blur(
    x: torch.Tensor,
    *,
    radius: float | None = None,
    alias_sigma: float | None = None,
    severity: int | None = None,
    profile: str | None = None,
) -> torch.Tensor:
    """Correlate every channel with :func:`disk_kernel` and clip to [0, 1].

    Beyond its border the image is mirrored about the outermost pixels, as often as the kernel
    needs. The kernels of ImageNet-C's severities 4 and 5 sum to 1.013 and 1.011, for their disks
    touch the edge of their grids, where mirroring counts twice: they brighten, here as there.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions
    and perturbations", ICLR 2019.

    Args:
        x: (n, channels, height, width) in [0, 1].
        radius: Of the disk, in pixels.
        alias_sigma: Standard deviation that smooths the disk, in pixels, above 0.
        severity: 1 to 5, with a profile and instead of radius and alias_sigma.
        profile: Name of a table of severities, in :data:`faultsim.perturb.profiles.PROFILES`.

    Raises:
        ConfigError: Images, radius or alias_sigma out of range; not exactly one of radius and
            alias_sigma, or severity and profile; a profile without defocus blur.
    """
    check_images(x)
    given = {"radius": radius, "alias_sigma": alias_sigma}
    kernel = disk_kernel(*chosen("blur", given, severity, profile)).to(x.device, torch.float32)
    planes = _mirrored(x.to(torch.float32).flatten(0, 1)[:, None], kernel.shape[0] // 2)
    # TensorFloat-32, the default of convolutions on CUDA, would round to 10 bits.
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        blurred = functional.conv2d(planes, kernel[None, None])
    return blurred.reshape(x.shape).clamp(0, 1).to(x.dtype)


def disk_kernel(radius: float, alias_sigma: float) -> torch.Tensor:
    """A disk that sums to 1, smoothed by a Gaussian.

    On the grid −8 to 8 by 3 × 3 pixels, for a radius above 8 on −⌊radius⌋ to ⌊radius⌋ by 5 × 5;
    what remains empty around it is cut off.

    Returns:
        (side, side) float64, side odd.

    Raises:
        ConfigError: A number out of range.
    """
    check_amount("radius", radius)
    check_amount("alias_sigma", alias_sigma)
    if alias_sigma == 0:
        raise ConfigError("alias_sigma must be above 0; 0.01 leaves the disk as it is")
    half, reach = (8, 1) if radius <= 8 else (int(radius), 2)
    grid = torch.arange(-half, half + 1, dtype=torch.float64)
    disk = (grid[:, None] ** 2 + grid**2 <= radius**2).to(torch.float64)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = (-(offsets**2) / (2 * alias_sigma**2)).exp()
    gaussian = torch.outer(weights, weights) / weights.sum() ** 2
    smooth = functional.conv2d(
        _mirrored((disk / disk.sum())[None, None], reach), gaussian[None, None]
    )
    return _without_empty_rings(smooth[0, 0])


def _without_empty_rings(kernel: torch.Tensor) -> torch.Tensor:
    empty = int(kernel.any(dim=0).nonzero()[0])
    return kernel[empty : len(kernel) - empty, empty : len(kernel) - empty]


def _mirrored(planes: torch.Tensor, pad: int) -> torch.Tensor:
    """Planes continued on all sides by reflection, which may be wider than they are."""
    rows, columns = (_reflect_101(n, pad).to(planes.device) for n in planes.shape[-2:])
    return planes[..., rows[:, None], columns]


def _reflect_101(n: int, pad: int) -> torch.Tensor:
    """The pixel that each of −pad to n + pad − 1 mirrors, the outermost ones not repeated."""
    period = max(2 * (n - 1), 1)
    distance = torch.arange(-pad, n + pad) % period
    return torch.minimum(distance, period - distance)
