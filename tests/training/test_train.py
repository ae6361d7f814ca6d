"""Training learns, repeats itself, stops when told and keeps the best epoch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from faultsim.data import Split
from faultsim.data.evaluation import evaluate
from faultsim.errors import ConfigError
from faultsim.models import medmamba, model_digest
from faultsim.training import train
from faultsim.training.recipe import balanced_weights
from faultsim.workload import metrics


def test_a_model_learns(fresh, dataset, quick):
    model, reached = fresh(), []
    best = train(model, dataset, quick(epochs=15, augment="none"), reached.append)
    assert not model.training
    assert [epoch.number for epoch in reached] == list(range(1, 16))
    assert best.val_auc == max(epoch.val_auc for epoch in reached) > 0.8
    assert reached[-1].loss < reached[0].loss


def test_the_weights_left_are_those_of_the_best_epoch(fresh, dataset, quick):
    model = fresh()
    best = train(model, dataset, quick())
    reached = evaluate(model, dataset.val)
    assert (reached.loss, reached.auc) == (best.val_loss, best.val_auc)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fresh, dataset, quick):
    digests = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(digests))  # what the caller drew before must not matter
        model = fresh()
        train(model, dataset, quick(seed=seed))
        digests.append(model_digest(model))
    assert digests[0] == digests[1] != digests[2]


def test_the_callers_random_numbers_are_left_alone(fresh, dataset, quick):
    before = torch.get_rng_state()
    train(fresh(), dataset, quick(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_patience_ends_a_training_that_no_longer_gets_better(fresh, dataset, quick):
    reached = []
    best = train(fresh(), dataset, quick(epochs=200, lr=1e-9, patience=3), reached.append)
    assert len(reached) == best.number + 3 < 200


@pytest.mark.parametrize("monitor", ["auc", "accuracy"])
def test_the_best_epoch_has_the_highest_figure_then_the_lowest_loss(fresh, dataset, quick, monitor):
    reached = []
    best = train(fresh(), dataset, quick(epochs=12, monitor=monitor), reached.append)
    ranks = [(getattr(epoch, f"val_{monitor}"), -epoch.val_loss) for epoch in reached]
    assert ranks[best.number - 1] == max(ranks)


def test_accuracy_decides_where_the_auc_is_undefined(fresh, dataset, quick):
    one_class = dataset.val.labels == 1
    val = Split(dataset.val.images[one_class], dataset.val.labels[one_class])
    reached = []
    best = train(fresh(), replace(dataset, val=val), quick(), reached.append)
    assert best.val_auc is None
    assert best.val_accuracy == max(epoch.val_accuracy for epoch in reached)


class Linear(nn.Module):
    """Without anything random, so that its first step can be computed apart."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(images.mean(dim=(1, 2, 3))[:, None])
        return logits


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_class_weights_enter_the_loss(dataset, quick, class_weights):
    train_split = dataset.train.first(25)  # classes of different size
    data, model, reached = replace(dataset, train=train_split), Linear(), []
    weights = balanced_weights(train_split.labels, 3) if class_weights == "balanced" else None
    expected = metrics.loss(model(train_split.images), train_split.labels, weights).item()
    config = quick(epochs=1, batch_size=99, augment="none", class_weights=class_weights)
    train(model, data, config, reached.append)
    assert reached[0].loss == pytest.approx(expected)


def test_several_labels_are_trained_on_binary_cross_entropy(labels_of_two, quick):
    class TwoLabels(Linear):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(1, 2)

    torch.manual_seed(0)  # from where twelve epochs are enough
    model, reached = TwoLabels(), []
    train_split = labels_of_two.train
    expected = nn.functional.binary_cross_entropy_with_logits(
        model(train_split.images), train_split.labels.float()
    ).item()
    config = quick(epochs=12, batch_size=99, augment="none", class_weights="none")
    best = train(model, labels_of_two, config, reached.append)
    assert reached[0].loss == pytest.approx(expected)
    assert best.val_auc > 0.9


def test_no_batch_is_one_image_alone(dataset, quick):
    sizes = []
    config = quick(epochs=1, batch_size=29, augment="none")  # 30 images
    train(Linear(), dataset, config, step=sizes.append)
    assert sizes == [15, 15]


def test_mixed_precision_without_cuda_is_refused(fresh, dataset, quick, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="mixed needs CUDA"):
        train(fresh(), dataset, quick(precision="mixed"))


def test_a_loss_that_is_no_longer_finite_ends_the_training(dataset, quick):
    with pytest.raises(ConfigError, match="try a lower --lr"):
        train(Linear(), dataset, quick(lr=1e30, epochs=20))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_empty_splits_are_refused(fresh, dataset, quick, split):
    data = replace(dataset, **{split: dataset.split(split).first(0)})
    with pytest.raises(ConfigError, match=f"no {split} images"):
        train(fresh(), data, quick())


def test_a_model_that_cannot_be_trained_is_one_line(dataset, quick):
    model = medmamba("n", num_classes=3, in_channels=3)
    with pytest.raises(ConfigError, match="fails to train on images of shape"):
        train(model, dataset, quick())
