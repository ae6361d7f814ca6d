"""Gaussian noise: its size, and where that comes from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import ConfigError
from faultsim.perturb import gaussian_noise

GREY = torch.full((4, 3, 64, 64), 0.5)


@given(st.floats(0.01, 0.1), st.integers(0, 1000))
def test_noise_is_normal_with_the_given_deviation(sigma, seed):
    noise = gaussian_noise(GREY, sigma=sigma, generator=torch.Generator().manual_seed(seed)) - 0.5
    assert noise.std() == pytest.approx(sigma, rel=0.03)
    assert abs(noise.mean()) < 0.03 * sigma
    assert (noise.abs() < sigma).float().mean() == pytest.approx(0.6827, abs=0.02)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 1000))
def test_more_noise_moves_every_value_further(one, other, seed):
    x = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    less, more = (
        gaussian_noise(x, sigma=sigma, generator=torch.Generator().manual_seed(seed)) - x
        for sigma in sorted((one, other))
    )
    assert (less.abs() <= more.abs()).all()


def test_no_noise_moves_nothing(images, seeded):
    assert torch.equal(gaussian_noise(images, sigma=0, generator=seeded()), images)


def test_a_severity_is_its_sigma(images, seeded):
    by_name = gaussian_noise(images, severity=4, profile="imagenet-c", generator=seeded())
    assert torch.equal(by_name, gaussian_noise(images, sigma=0.26, generator=seeded()))


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"sigma": -0.1}, "sigma must be"),
        ({"sigma": torch.inf}, "sigma must be"),
        ({}, "needs sigma"),
        ({"sigma": 0.1, "severity": 1}, "not both"),
    ],
)
def test_refusals(how, match, images, seeded):
    with pytest.raises(ConfigError, match=match):
        gaussian_noise(images, **how, generator=seeded())


def test_there_is_no_noise_without_a_generator(images):
    with pytest.raises(TypeError):
        gaussian_noise(images, sigma=0.1)
