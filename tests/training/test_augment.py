"""Augmentation: small, from one generator only, and off unless asked for."""

from __future__ import annotations

import pytest
import torch

from faultsim.config import TrainConfig
from faultsim.training.augment import AUGMENTATIONS, random_affine, random_flip


@pytest.fixture
def seeded():
    return lambda: torch.Generator().manual_seed(0)


@pytest.mark.parametrize("augment", [random_affine, random_flip])
def test_the_generator_decides_everything(augment, seeded):
    images = torch.rand(5, 2, 32, 32, generator=seeded())
    before = torch.get_rng_state()
    assert torch.equal(augment(images, seeded()), augment(images, seeded()))
    assert torch.equal(torch.get_rng_state(), before)


def test_affine_moves_each_image_a_little(seeded):
    images = torch.zeros(5, 2, 32, 32)
    images[:, :, 12:20, 12:20] = 1
    moved = random_affine(images, seeded())
    assert len({image.sum().item() for image in moved}) == 5
    assert (moved[:, :, 14:18, 14:18].mean(dim=(1, 2, 3)) > 0.5).all()
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_affine_brings_no_edge_into_a_plain_image(seeded):
    images = torch.full((5, 1, 28, 28), 0.7)
    assert torch.allclose(random_affine(images, seeded()), images)


def test_flip_mirrors_about_half_of_the_images(seeded):
    images = torch.arange(6.0).expand(200, 1, 2, 6)
    flipped = random_flip(images, seeded())
    mirrored = (flipped[:, 0, 0, 0] == 5).sum().item()
    assert 70 < mirrored < 130
    assert torch.equal(flipped.sort(dim=-1).values, images)


def test_every_choice_of_the_settings_is_there_and_none_is_the_default():
    from typing import get_args, get_type_hints

    assert set(get_args(get_type_hints(TrainConfig)["augment"])) == set(AUGMENTATIONS)
    assert AUGMENTATIONS[TrainConfig().augment] == ()
