"""Learning rates, class weights and the command that repeats a training."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from faultsim.cli.main import parse
from faultsim.config import TrainConfig
from faultsim.errors import ConfigError
from faultsim.training.recipe import balanced_weights, command, learning_rate, recipe
from faultsim.workload import metrics


def test_the_defaults_are_the_published_recipe():
    config = TrainConfig()
    assert (config.epochs, config.batch_size, config.lr) == (100, 128, 1e-3)
    assert (config.augment, config.class_weights, config.patience) == ("none", "none", 0)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 100])
def test_the_rate_falls_as_torchs_schedule_does(epochs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    milestones = [-(-epochs // 2), -(-3 * epochs // 4)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    config = TrainConfig(epochs=epochs, lr=0.5)
    for epoch in range(1, epochs + 1):
        assert learning_rate(config, epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_balanced_weights_are_scikit_learns():
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    oracle = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert balanced_weights(labels, 3).tolist() == pytest.approx(oracle.tolist())


def test_a_class_without_images_gets_a_finite_weight():
    assert balanced_weights(torch.tensor([0, 0]), 2).isfinite().all()


def test_balanced_labels_weigh_positives_like_negatives():
    labels = torch.tensor([[1, 0], [0, 0], [0, 1], [0, 1]])
    logits = torch.zeros(4, 2, requires_grad=True)
    weights = balanced_weights(labels, 2)
    metrics.loss(logits, labels, weights).backward()
    assert logits.grad.sum(dim=0).tolist() == pytest.approx([0, 0])


def test_the_command_is_read_back_as_the_same_recipe():
    config = TrainConfig(data="my/own set.npz", out="x/y.safetensors", augment="affine", lr=3e-4)
    words = shlex.split(command(config))
    again = parse(words[1:])
    assert recipe(again) == recipe(config)
    assert not any("/" in word for word in words)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"batch_size": 0}, "--batch-size"),
        ({"lr": 0.0}, "--lr must be positive"),
        ({"lr": float("nan")}, "--lr must be a finite number"),
        ({"weight_decay": -1.0}, "--weight-decay"),
        ({"patience": -1}, "--patience"),
        ({"seed": -1}, "--seed"),
        ({"precision": "mixed", "device": "cpu"}, "--precision mixed needs CUDA"),
    ],
)
def test_settings_that_no_training_could_use(setting, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**setting)
