"""Defocus blur: a disk for a kernel, as the common-corruptions benchmark makes it with OpenCV."""

from __future__ import annotations

import torch
from torch.nn import functional

from faultsim.errors import ConfigError
from faultsim.perturb.images import check_amount, check_images
from faultsim.perturb.profiles import chosen

LARGEST_RADIUS = 512


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
    kernel = disk_kernel(*chosen("blur", given, severity, profile)).to(x.device)
    if not len(x):
        return x.clone()  # Fourier transforms of nothing fail
    padded = _mirrored(x.to(torch.float64), kernel.shape[0] // 2)
    return _correlate(padded, kernel).clamp(0, 1).to(x.dtype)


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
    if radius > LARGEST_RADIUS:
        raise ConfigError(f"radius must be at most {LARGEST_RADIUS} pixels, not {radius}")
    check_amount("alias_sigma", alias_sigma)
    if alias_sigma == 0:
        raise ConfigError("alias_sigma must be above 0; 0.01 leaves the disk as it is")
    half, reach = (8, 1) if radius <= 8 else (int(radius), 2)
    grid = torch.arange(-half, half + 1, dtype=torch.float64)
    disk = (grid[:, None] ** 2 + grid**2 <= radius**2).to(torch.float64)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = (-((offsets / alias_sigma) ** 2) / 2).exp()
    gaussian = torch.outer(weights, weights) / weights.sum() ** 2
    wider = _mirrored(disk / disk.sum(), reach)
    # Not _correlate: what is empty must be exactly 0.
    smooth = functional.conv2d(wider[None, None], gaussian[None, None])[0, 0]
    empty = int(smooth.any(dim=0).nonzero()[0])
    return smooth[empty : len(smooth) - empty, empty : len(smooth) - empty]


def _correlate(planes: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """The kernel's sums wherever it lies within the planes, through their Fourier transforms.

    In float64: a float32 sum over a large kernel is off by up to 4e-6, and by more where CUDA's
    convolutions round to TensorFloat-32. Nor does the time grow with the kernel.
    """
    size = planes.shape[-2:]
    spectrum = torch.fft.rfft2(planes) * torch.fft.rfft2(kernel, s=size).conj()
    height, width = (n - len(kernel) + 1 for n in size)
    sums: torch.Tensor = torch.fft.irfft2(spectrum, s=size)
    return sums[..., :height, :width]


def _mirrored(planes: torch.Tensor, pad: int) -> torch.Tensor:
    """Planes continued on all sides by reflection, which may be wider than they are."""
    rows, columns = (_reflect_101(n, pad).to(planes.device) for n in planes.shape[-2:])
    return planes[..., rows[:, None], columns]


def _reflect_101(n: int, pad: int) -> torch.Tensor:
    """The pixel that each of −pad to n + pad − 1 mirrors, the outermost ones not repeated."""
    period = max(2 * (n - 1), 1)
    distance = torch.arange(-pad, n + pad) % period
    return torch.minimum(distance, period - distance)
