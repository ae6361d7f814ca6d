"""Accuracy against MedMNIST's own evaluator to the last bit, AUC to 1e-12.

``make test`` installs medmnist; without it this file fails rather than skips, so that the claim in
the README cannot go untested.
"""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from medmnist.evaluator import getACC, getAUC

from faultsim.workload import metrics

SINGLE = ("binary-class", "multi-class", "ordinal-regression")
TASKS = (*SINGLE, "multi-label, binary-class")
seeds = st.integers(0, 2**32 - 1)


def random_labels(rng: np.random.Generator, task: str, n: int) -> np.ndarray:
    """(n, 1) classes or (n, k) labels as in MedMNIST's files, no class and no label absent."""
    if task not in SINGLE:
        labels = rng.integers(0, 2, (n, int(rng.integers(2, 15))), dtype=np.uint8)
        labels[0], labels[1] = 0, 1
        return labels
    classes = 2 if task == "binary-class" else int(rng.integers(3, 12))
    labels = np.r_[np.arange(classes), rng.integers(0, classes, n - classes)]
    return rng.permutation(labels).astype(np.uint8)[:, None]


def random_logits(rng: np.random.Generator, task: str, labels: np.ndarray) -> torch.Tensor:
    classes = labels.shape[1] if task not in SINGLE else int(labels.max()) + 1
    return torch.from_numpy(rng.normal(size=(len(labels), classes)).astype(np.float32))


def as_split(task: str, labels: np.ndarray) -> torch.Tensor:
    whole = torch.from_numpy(labels.astype(np.int64))
    return whole.view(-1) if task in SINGLE else whole


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("ties", [False, True])
@hypothesis.settings(max_examples=30)
@given(seed=seeds)
def test_accuracy_and_auc_are_the_evaluators(task, ties, seed):
    rng = np.random.default_rng(seed)
    labels = random_labels(rng, task, int(rng.integers(12, 80)))
    logits = random_logits(rng, task, labels)
    if ties:
        logits = logits.round()
    scores = metrics.probabilities(logits.double(), task not in SINGLE)
    assert metrics.accuracy(logits, as_split(task, labels)) == getACC(labels, scores.numpy(), task)
    ours, theirs = metrics.auc(scores, as_split(task, labels)), getAUC(labels, scores.numpy(), task)
    assert ours == pytest.approx(theirs, rel=0, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_auc_is_none_where_the_evaluator_has_none(task):
    rng = np.random.default_rng(0)
    labels = random_labels(rng, task, 40)
    scores = metrics.probabilities(random_logits(rng, task, labels).double(), task not in SINGLE)
    labels[labels == 1] = 0
    assert metrics.auc(scores, as_split(task, labels)) is None
