"""Defocus blur against OpenCV, with which the benchmark made its images.

``make test`` installs OpenCV; without it this file fails rather than skips.
"""

from __future__ import annotations

import cv2
import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import ConfigError
from faultsim.perturb import defocus_blur
from faultsim.perturb.blur import disk_kernel
from faultsim.perturb.profiles import PROFILES

PUBLISHED = sorted({pair for profile in PROFILES.values() for pair in profile.blur})
disks = st.sampled_from([*PUBLISHED, (0, 0.3), (9, 1.5), (12, 0.8)])


def opencv_kernel(radius: float, alias_sigma: float) -> np.ndarray:
    half, width = (8, 3) if radius <= 8 else (radius, 5)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    return cv2.GaussianBlur(disk / disk.sum(), (width, width), alias_sigma)


def opencv_blur(images: np.ndarray, radius: float, alias_sigma: float) -> np.ndarray:
    kernel = opencv_kernel(radius, alias_sigma)
    planes = images.reshape(-1, *images.shape[-2:]).astype(np.float64)
    blurred = np.stack([cv2.filter2D(plane, -1, kernel) for plane in planes])
    return blurred.clip(0, 1).reshape(images.shape)


@hypothesis.settings(max_examples=100)
@given(disks, st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_blur_is_opencvs_on_images_of_any_size(disk, height, width, seed):
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    radius, alias_sigma = disk
    # Tightest where the image is flat, for rounding does not cancel there.
    for images in (x, x.round(), torch.full_like(x, 0.99)):
        blurred = defocus_blur(images, radius=radius, alias_sigma=alias_sigma)
        assert np.abs(blurred.numpy() - opencv_blur(images.numpy(), *disk)).max() < 1e-6


@pytest.mark.parametrize("disk", [*PUBLISHED, (9, 1.5), (12, 0.8)])
def test_kernels_are_opencvs_less_their_empty_rings(disk):
    kernel, whole = disk_kernel(*disk), opencv_kernel(*disk)
    empty = (len(whole) - len(kernel)) // 2
    assert np.abs(np.pad(kernel, empty) - whole).max() < 1e-7
    assert kernel[0].any()


def test_two_kernels_of_imagenet_c_brighten():
    sums = [float(disk_kernel(*disk).sum()) for disk in PROFILES["imagenet-c"].blur]
    assert sums == pytest.approx([1, 1, 1, 1.013, 1.011], abs=5e-4)
    grey = torch.full((1, 1, 32, 32), 0.5)
    assert torch.allclose(defocus_blur(grey, severity=4, profile="imagenet-c"), grey * sums[3])
    white = torch.ones(1, 1, 32, 32)
    assert torch.equal(defocus_blur(white, severity=4, profile="imagenet-c"), white)


def test_a_single_pixel_unsmoothed_changes_nothing(images):
    blurred = defocus_blur(images, radius=0.5, alias_sigma=0.01)
    assert torch.allclose(blurred, images, rtol=0, atol=1e-7)


@pytest.mark.parametrize("profile", ["imagenet-c", "tiny-imagenet-c", "medmnist-c/dermamnist"])
def test_detail_fades_as_severity_grows(profile, images):
    contrast = [
        defocus_blur(images.repeat(1, 1, 4, 4), severity=s, profile=profile).std()
        for s in range(1, 6)
    ]
    assert contrast == sorted(contrast, reverse=True)


def test_above_eight_the_radius_is_cut_to_whole_pixels_of_the_grid():
    assert disk_kernel(8.5, 0.5).shape == (17, 17)
    assert disk_kernel(9, 0.5).shape == (19, 19)


def test_a_severity_is_its_disk(images):
    by_name = defocus_blur(images, severity=4, profile="medmnist-c/octmnist")
    assert torch.equal(by_name, defocus_blur(images, radius=2, alias_sigma=0.5))


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"radius": -1, "alias_sigma": 0.1}, "radius must be"),
        ({"radius": torch.inf, "alias_sigma": 0.1}, "radius must be"),
        ({"radius": 1, "alias_sigma": 0}, "alias_sigma must be"),
        ({"radius": 1, "alias_sigma": torch.nan}, "alias_sigma must be"),
        ({"radius": 1}, "needs radius and alias_sigma"),
        ({"alias_sigma": 1, "severity": 1, "profile": "imagenet-c"}, "not both"),
    ],
)
def test_refusals(how, match, images):
    with pytest.raises(ConfigError, match=match):
        defocus_blur(images, **how)
