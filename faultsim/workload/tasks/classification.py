"""Classes of samples, or several labels of each, from a row of logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from faultsim.errors import ConfigError
from faultsim.workload import metrics
from faultsim.workload.batch import Batch
from faultsim.workload.task import Events, Task

MISSED, FALSE_ALARMS = "missed", "false_alarms"


class Classification(Task):
    """A sample is corrupted when its predicted class, or any of its labels, is another.

    Targets are (n,) int64 classes, or (n, classes) of 0 and 1 where there are several labels. The
    logits are the output, or what it calls ``logits``, or else its first tensor.
    """

    objective = "acc"

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        multi_label: bool = False,
        positive: int | None = None,
        name: str = "the data",
    ) -> None:
        """Says what the targets are.

        Args:
            num_classes: Number of classes, or of labels; None for as many as there are logits.
            multi_label: Whether each class is a label of its own.
            positive: The diseased class of two, whose detection is the sensitivity.
            name: Of the data, for messages.
        """
        self.num_classes, self.multi_label, self.positive = num_classes, multi_label, positive
        self.chance = 0.5 if multi_label else 1 / num_classes if num_classes else 0.0
        self._name = name

    def check(self, output: Any, batch: Batch) -> None:
        logits, labels = _logits(output), batch.targets
        if not isinstance(labels, torch.Tensor) or labels.is_floating_point():
            raise ConfigError(f"{self._name}: labels must be whole numbers in a tensor")
        if not isinstance(logits, torch.Tensor) or logits.shape[:1] != (batch.size,):
            raise ConfigError("the model must return a tensor of logits, a row an image")
        if not logits.is_floating_point():
            raise ConfigError(
                f"the model's output is {logits.dtype}, where logits are real numbers"
            )
        wanted = self.num_classes or logits.shape[-1]
        few = logits.ndim != 2 or logits.shape[1] < wanted
        if few or (self.multi_label and logits.shape[1] > wanted):
            raise ConfigError(
                f"the model's output is {tuple(logits.shape)}, but {self._name} has "
                f"{wanted} {'labels' if self.multi_label else 'classes'}"
            )

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        rows: Any = _logits(output)  # a tensor of rows is a sequence of samples
        return rows  # type: ignore[no-any-return]

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        was, now = (metrics.predict(_logits(each), self.multi_label) for each in (golden, output))
        sdc = (was != now).any(dim=1)
        if self.positive is None:
            return sdc
        return {
            "sdc": sdc,
            MISSED: sdc & (was[:, 0] == self.positive),
            FALSE_ALARMS: sdc & (now[:, 0] == self.positive),
        }

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        return metrics.loss(_logits(output), batch.targets)

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        logits, labels = _joined(outputs, batches)
        probabilities = metrics.probabilities(logits.double(), self.multi_label)
        return {**self.probe(outputs, batches), "auc": metrics.auc(probabilities, labels)}

    def probe(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        """The scores that a search rests on: all but the AUC, which takes longer than the rest."""
        logits, labels = _joined(outputs, batches)
        right = metrics.hits(logits, labels).all(dim=1)
        found: dict[str, float | int | None] = {
            "correct": int(right.sum()),
            "loss": float(metrics.loss(logits.double(), labels)),
            "acc": metrics.accuracy(logits, labels),
            "auc": None,
        }
        if self.positive is not None:
            shares = metrics.sensitivity_specificity(right, labels, self.positive)
            found |= dict(zip(("sensitivity", "specificity"), shares, strict=True))
        return found


def _logits(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else None
    named = getattr(output, "logits", None) if named is None else named
    if named is None and isinstance(output, (tuple, list)) and output:
        return _logits(output[0])
    return named


def _joined(outputs: Sequence[Any], batches: Sequence[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.cat([batch.targets for batch in batches])
    return torch.cat([_logits(output) for output in outputs]), labels
