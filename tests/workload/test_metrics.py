"""Accuracy and AUC against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from faultsim.workload.metrics import accuracy, areas, auc, hits, sensitivity_specificity


def pairs_auc(positive, negative):
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    return float(wins)


@given(st.integers(2, 6), st.integers(0, 1000))
def test_auc_is_the_share_of_pairs_in_order(classes, seed):
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), rng.integers(0, classes, 30)]
    scores = np.round(rng.random((len(labels), classes)), 1)  # with ties
    columns = range(classes) if classes > 2 else [1]
    expected = np.mean([pairs_auc(scores[labels == c, c], scores[labels != c, c]) for c in columns])
    assert auc(torch.tensor(scores), torch.tensor(labels)) == pytest.approx(expected)


def test_auc_is_undefined_without_a_class_or_with_non_finite_scores():
    scores = torch.rand(4, 3)
    assert auc(scores, torch.tensor([0, 1, 1, 0])) is None
    scores[0, 0] = torch.nan
    assert auc(scores, torch.tensor([0, 1, 2, 0])) is None


def test_non_finite_rows_count_as_wrong():
    logits = torch.tensor([[0.0, 1.0], [torch.inf, 0.0], [torch.nan, 0.0], [3.0, 1.0]])
    assert accuracy(logits, torch.tensor([1, 0, 0, 0])) == 0.5


def test_several_labels_are_right_one_by_one():
    logits = torch.tensor([[1.0, -1.0], [1.0, 1.0], [torch.nan, 1.0]])
    labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
    expected = [[True, True], [False, True], [False, False]]
    assert hits(logits, labels).tolist() == expected
    assert accuracy(logits, labels) == (1 / 3 + 2 / 3) / 2


@given(st.integers(0, 1), st.integers(0, 1000))
def test_sensitivity_and_specificity_weigh_up_to_accuracy(positive, seed):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(20, 2)))
    logits[0] = torch.nan
    labels = torch.from_numpy(rng.integers(0, 2, 20))
    sick = int((labels == positive).sum())
    shares = sensitivity_specificity(hits(logits, labels)[:, 0], labels, positive)
    whole = sum(share * n for share, n in zip(shares, (sick, 20 - sick), strict=True) if n)
    assert whole / 20 == pytest.approx(accuracy(logits, labels))


def test_sensitivity_is_undefined_without_a_positive_image():
    right = torch.tensor([True, False])
    assert sensitivity_specificity(right, torch.tensor([0, 0]), 1) == (None, 0.5)


def test_areas_with_ties_are_scikit_learns():
    scores = np.random.default_rng(0).integers(0, 5, size=(40, 3)) / 5
    truth = np.eye(3)[np.arange(40) % 3] == 1
    oracle = [roc_auc_score(truth[:, c], scores[:, c]) for c in range(3)]
    assert areas(scores, truth) == pytest.approx(oracle, abs=1e-12)
