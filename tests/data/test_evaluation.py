"""Figures agree with scikit-learn's and with the data; intervals hold them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import recall_score, roc_auc_score
from torch import nn

from faultsim.data import Dataset, Split
from faultsim.data.evaluation import Predictions, assess, evaluate


class Logits(nn.Module):
    """The first column of an image is its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, :, 0] * self.one


@pytest.fixture
def binary() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3 // 2
    logits = torch.randn(60, 2, generator=generator)
    logits[torch.arange(60), labels] += 0.8
    split = Split(logits.view(60, 1, 2, 1), labels)
    return Dataset("set", 2, split, split, split, positive=0)


def test_figures_are_scikit_learns(binary):
    figures = assess(Logits(), binary, "test")
    logits, truth = binary.test.images[:, 0, :, 0], binary.test.labels
    told = logits.argmax(1)
    assert figures["AUC"].value == pytest.approx(roc_auc_score(truth, logits.softmax(1)[:, 1]))
    assert figures["accuracy"].value == (told == truth).double().mean().item()
    assert figures["sensitivity"].value == recall_score(truth, told, pos_label=0)
    assert figures["specificity"].value == recall_score(truth, told, pos_label=1)
    assert (figures["sensitivity"].n, figures["specificity"].n) == (40, 20)


def test_every_figure_lies_within_its_interval_and_repeats(binary):
    figures = assess(Logits(), binary, "test")
    assert figures == assess(Logits(), binary, "test")
    assert all(0 <= e.low <= e.value <= e.high <= 1 for e in figures.values())
    assert all(e.high - e.low > 0.1 for e in figures.values())


def test_scores_of_an_epoch_are_the_figures_without_intervals(binary):
    figures, scores = assess(Logits(), binary, "val"), evaluate(Logits(), binary.val)
    assert (scores.accuracy, scores.auc) == (figures["accuracy"].value, figures["AUC"].value)


def test_a_class_without_images_leaves_its_figures_undefined(binary):
    healthy = binary.test.labels == 1
    one = Split(binary.test.images[healthy], binary.test.labels[healthy])
    figures = assess(Logits(), replace(binary, test=one), "test")
    assert figures["AUC"] is None
    assert figures["sensitivity"] is None
    assert figures["specificity"].n == 20


def test_one_image_a_class_says_little():
    labels = torch.arange(40)  # one image a class
    split = Split(torch.eye(40).view(40, 1, 40, 1), labels)
    auc = assess(Logits(), Dataset("set", 40, split, split, split), "test")["AUC"]
    assert (auc.value, auc.high) == (1, 1)
    assert auc.low < 0.2


def test_several_labels_and_more_classes_have_no_sensitivity(binary):
    rows = torch.stack([binary.test.labels, 1 - binary.test.labels], dim=1)
    split = Split(binary.test.images, rows)
    several = Dataset("set", 2, split, split, split)
    figures = assess(Logits(), several, "test")
    assert set(figures) == {"accuracy", "AUC"}
    assert figures["accuracy"].value == pytest.approx(evaluate(Logits(), split).accuracy)
    assert figures["accuracy"].method == "Gaffke over images"


def predictions(logits: torch.Tensor, data: Dataset) -> Predictions:
    return Predictions(logits, data.test.labels, data)


def test_changes_are_the_differences_of_the_figures(binary):
    logits = binary.test.images[:, 0, :, 0]
    moved = logits + torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    before, after = predictions(logits, binary), predictions(moved, binary)
    was, now = before.figures(), after.figures()
    for name, change in after.changes(before).items():
        assert change.value == pytest.approx(now[name].value - was[name].value)
        assert change.low < change.value < change.high
        assert change.high - change.low < 1.05 * (now[name].high - now[name].low) * 2**0.5


def test_nothing_changed_is_no_change(binary):
    logits = binary.test.images[:, 0, :, 0]
    auc = predictions(logits, binary).changes(predictions(logits, binary))["AUC"]
    assert auc.low < auc.value == 0 < auc.high
    split = Split(binary.test.images, torch.stack([binary.test.labels] * 2, dim=1))
    several = Dataset("set", 2, split, split, split)
    same = predictions(logits, several).changes(predictions(logits, several))["accuracy"]
    assert same.low < same.value == 0 < same.high
    assert same.method == "bound, all images alike"
    turned = predictions(-logits, several).changes(predictions(logits, several))["accuracy"]
    assert turned.method == "Gaffke over images"


def test_logits_that_are_not_finite_have_no_auc_to_compare(binary):
    logits = binary.test.images[:, 0, :, 0]
    lost = predictions(logits * torch.nan, binary)
    assert lost.changes(predictions(logits, binary))["AUC"] is None
