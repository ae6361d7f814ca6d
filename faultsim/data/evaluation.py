"""How good a classifier is: quickly after each epoch, with intervals at the end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from faultsim.data import Dataset, Split
from faultsim.data.dataset import BINARY
from faultsim.stats import Areas, Estimate, areas, bounded_mean, clopper_pearson, paired_change
from faultsim.workload import metrics

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
        See :meth:`Predictions.figures`.
    """
    part = data.split(split)
    return Predictions(logits_of(model, part), part.labels, data).figures()


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of some images; resamples are drawn once, the same for all predictions.

    Attributes:
        logits: (n, classes), n at least 1.
        labels: (n,) or (n, classes), of images of ``data``.
        data: The set, for its task and positive class.
    """

    logits: torch.Tensor
    labels: torch.Tensor
    data: Dataset

    def figures(self) -> Figures:
        """What they are worth, with 95 % intervals over the images.

        Returns:
            By name: ``accuracy``, ``AUC`` and, of a binary set, ``sensitivity`` and
            ``specificity``, the shares of the positive and of the other images that are told right.
        """
        auc = self._areas.interval() if self._areas else None
        if self.data.multi_label:
            accuracy = bounded_mean(self._right.double().mean(dim=1).numpy(), unit="images")
            return {"accuracy": accuracy, "AUC": auc}
        right = self._right[:, 0]
        figures = {"accuracy": _share(right), "AUC": auc}
        if self.data.task == BINARY:
            sick = self.labels == self.data.positive
            figures |= {"sensitivity": _share(right[sick]), "specificity": _share(right[~sick])}
        return figures

    def changes(self, before: Predictions) -> Figures:
        """How much they gain on others of the same images, image by image: negative is a loss.

        Returns:
            ``accuracy`` and ``AUC``.
        """
        if self.data.multi_label:
            gained = (self._right.double() - before._right.double()).mean(dim=1)
            accuracy = bounded_mean(gained.numpy(), -1, 1, unit="images")
        else:
            accuracy = paired_change(before._right[:, 0].tolist(), self._right[:, 0].tolist())
        auc = None
        if self._areas and before._areas:
            auc = self._areas.change(before._areas)
        return {"accuracy": accuracy, "AUC": auc}

    @cached_property
    def auc(self) -> float | None:
        """None where it is undefined."""
        return _auc(self.logits, self.labels)

    @cached_property
    def _right(self) -> torch.Tensor:
        return metrics.hits(self.logits, self.labels)

    @cached_property
    def _areas(self) -> Areas | None:
        if self.auc is None:
            return None
        probabilities = metrics.probabilities(self.logits, self.labels.ndim == 2)
        return areas(*metrics.one_against_rest(probabilities, self.labels), self.auc)


def _share(right: torch.Tensor) -> Estimate | None:
    return clopper_pearson(int(right.sum()), len(right)) if len(right) else None


def _auc(logits: torch.Tensor, labels: torch.Tensor) -> float | None:
    return metrics.auc(metrics.probabilities(logits, labels.ndim == 2), labels)
