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
from faultsim.stats import CONFIDENCE, Estimate, bootstrap_mean, paired_change, wilson

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
        See :func:`figures_of`.
    """
    part = data.split(split)
    return figures_of(logits_of(model, part), part.labels, data)


def figures_of(logits: torch.Tensor, labels: torch.Tensor, data: Dataset) -> Figures:
    """What predictions are worth, with 95 % intervals over the images.

    Args:
        logits: (n, classes), n at least 1.
        labels: (n,) or (n, classes), of images of ``data``.
        data: The set, for its task and positive class.

    Returns:
        By name: ``accuracy`` (Wilson; a bootstrap where there are several labels), ``AUC``
        (bootstrap) and, of a binary set, ``sensitivity`` and ``specificity``, the shares of the
        positive and of the other images that are told right (Wilson).
    """
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


def changes_of(before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> Figures:
    """How much predictions of the same images gained, image by image: negative is a loss.

    Args:
        before: (n, classes) logits of the clean images.
        after: (n, classes) logits of the same images, perturbed.
        labels: (n,) or (n, classes).

    Returns:
        ``accuracy`` (Newcombe's interval for paired shares; a bootstrap of paired differences where
        there are several labels) and ``AUC`` (a bootstrap that resamples both alike).
    """
    was, now = metrics.hits(before, labels), metrics.hits(after, labels)
    if labels.ndim == 2:
        gained = (now.double() - was.double()).mean(dim=1)
        accuracy = replace(bootstrap_mean(gained.tolist()), method=BOOTSTRAP)
    else:
        accuracy = paired_change(was[:, 0].tolist(), now[:, 0].tolist())
    return {"accuracy": accuracy, "AUC": _auc_change(before, after, labels)}


def _auc_change(before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> Estimate | None:
    was, now = _auc(before, labels), _auc(after, labels)
    if was is None or now is None:
        return None
    drawn = _resampled_areas(after, labels) - _resampled_areas(before, labels)
    return _interval(now - was, drawn, labels)


def _share(right: torch.Tensor) -> Estimate | None:
    return wilson(int(right.sum()), len(right)) if len(right) else None


def _auc(logits: torch.Tensor, labels: torch.Tensor) -> float | None:
    return metrics.auc(metrics.probabilities(logits, labels.ndim == 2), labels)


def _auc_interval(logits: torch.Tensor, labels: torch.Tensor) -> Estimate | None:
    """The percentile bootstrap over images; resamples that lack a class are left out."""
    value = _auc(logits, labels)
    return None if value is None else _interval(value, _resampled_areas(logits, labels), labels)


def _resampled_areas(logits: torch.Tensor, labels: torch.Tensor) -> npt.NDArray[np.float64]:
    """AUC of the same resamples for all logits of the same labels; NaN where a class is missing."""
    probabilities = metrics.probabilities(logits, labels.ndim == 2)
    scores, truth = metrics.one_against_rest(probabilities, labels)
    rows = np.random.default_rng(0).integers(len(labels), size=(RESAMPLES, len(labels)))
    with np.errstate(invalid="ignore"):
        return np.array([_mean_area(scores[r], truth[r]) for r in rows])


def _interval(value: float, drawn: npt.NDArray[np.float64], labels: torch.Tensor) -> Estimate:
    drawn, n = drawn[np.isfinite(drawn)], len(labels)
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
