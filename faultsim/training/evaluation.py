"""How good a classifier is: quickly after each epoch, with intervals at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from faultsim import metrics
from faultsim.data import Dataset, Split
from faultsim.data.dataset import BINARY
from faultsim.stats import CONFIDENCE, Estimate, bootstrap_mean, wilson

RESAMPLES = 1000
BOOTSTRAP = "bootstrap over images"

Array = npt.NDArray[np.floating[Any] | np.integer[Any]]
Figures = dict[str, Estimate | None]
"""Estimates by name; None where one is undefined."""


@dataclass(frozen=True)
class Scores:
    """What a model reaches on a split.

    Attributes:
        loss: Mean loss, without class weights.
        accuracy: As MedMNIST's evaluator defines it.
        auc: Likewise; None where it is undefined.
    """

    loss: float
    accuracy: float
    auc: float | None


@torch.no_grad()
def logits_of(model: nn.Module, split: Split, batch_size: int = 256) -> torch.Tensor:
    """(n, classes) on the CPU, in eval mode, wherever the model is."""
    device = next(model.parameters()).device
    model.eval()
    batches = torch.split(split.images, batch_size)
    return torch.cat([model(images.to(device)).cpu() for images in batches])


def evaluate(model: nn.Module, split: Split) -> Scores:
    """Loss, accuracy and AUC on a split, in eval mode."""
    logits = logits_of(model, split)
    loss = float(metrics.loss(logits, split.labels))
    return Scores(loss, metrics.accuracy(logits, split.labels), _auc(logits, split.labels))


def assess(model: nn.Module, data: Dataset, split: str) -> Figures:
    """What a model reaches on a split, with 95 % intervals over its images.

    Args:
        model: Images in [0, 1] to logits.
        data: The data set.
        split: ``val`` or ``test``; not empty.

    Returns:
        By name: ``accuracy`` (Wilson; a bootstrap where there are several labels), ``AUC``
        (bootstrap) and, of a binary set, ``sensitivity`` and ``specificity``, the shares of the
        positive and of the other images that are told right (Wilson).
    """
    labels = data.split(split).labels
    logits = logits_of(model, data.split(split))
    right, auc = metrics.hits(logits, labels), _auc_interval(logits, labels)
    if data.multi_label:
        mean = bootstrap_mean(right.double().mean(dim=1).tolist())
        return {"accuracy": replace(mean, method=BOOTSTRAP), "AUC": auc}
    right = right[:, 0]
    figures = {"accuracy": _share(right), "AUC": auc}
    if data.task == BINARY:
        sick = labels == data.positive
        figures |= {"sensitivity": _share(right[sick]), "specificity": _share(right[~sick])}
    return figures


def _share(right: torch.Tensor) -> Estimate | None:
    return wilson(int(right.sum()), len(right)) if len(right) else None


def _auc(logits: torch.Tensor, labels: torch.Tensor) -> float | None:
    return metrics.auc(metrics.probabilities(logits, labels.ndim == 2), labels)


def _auc_interval(logits: torch.Tensor, labels: torch.Tensor) -> Estimate | None:
    """The percentile bootstrap over images; resamples that lack a class are left out."""
    value, n = _auc(logits, labels), len(labels)
    if value is None:
        return None
    probabilities = metrics.probabilities(logits, labels.ndim == 2)
    scores, truth = metrics.one_against_rest(probabilities, labels)
    rows = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    with np.errstate(invalid="ignore"):
        drawn = np.array([_mean_area(scores[r], truth[r]) for r in rows])
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(value, None, None, n, "no resample has every class")
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n, BOOTSTRAP)


def _mean_area(scores: Array, truth: Array) -> float:
    """The AUC by ranks (Mann and Whitney, 1947), a hundred times as fast as scikit-learn's.

    Args:
        scores: (n, columns).
        truth: (n, columns) of 0 and 1; a column of one value makes the result NaN.
    """
    from scipy.stats import rankdata

    positives = truth.sum(axis=0)
    excess = (rankdata(scores, axis=0) * truth).sum(axis=0) - positives * (positives + 1) / 2
    return float((excess / (positives * (len(truth) - positives))).mean())
