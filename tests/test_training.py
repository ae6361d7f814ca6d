"""Training: the same seed gives the same weights, and a model learns."""

from __future__ import annotations

import pytest
import torch

from faultsim.augment import random_affine
from faultsim.config import TrainConfig
from faultsim.errors import ConfigError
from faultsim.models import model_digest
from faultsim.training import evaluate, train


def test_training_learns_and_repeats(model, dataset):
    config = TrainConfig(epochs=12, batch_size=6, lr=0.03, augment=False)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    reached = []
    train(model, dataset, config, lambda epoch: reached.append(epoch.val_accuracy))
    assert evaluate(model, dataset.val) == max(reached) > 0.6
    first = model_digest(model)
    model.load_state_dict(start)
    train(model, dataset, config)
    assert model_digest(model) == first


def test_augmentation_moves_images_a_little_and_repeats():
    images = torch.zeros(5, 2, 32, 32)
    images[:, :, 12:20, 12:20] = 1
    moved = random_affine(images, torch.Generator().manual_seed(0))
    assert torch.equal(moved, random_affine(images, torch.Generator().manual_seed(0)))
    assert len({image.sum().item() for image in moved}) == 5
    assert (moved[:, :, 14:18, 14:18].mean(dim=(1, 2, 3)) > 0.5).all()
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_empty_splits_are_refused(model, dataset):
    empty = dataset.train.first(0)
    data = type(dataset)("x", 3, empty, dataset.val, dataset.test)
    with pytest.raises(ConfigError, match="no training or no validation"):
        train(model, data, TrainConfig())
