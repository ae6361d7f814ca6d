"""Classes of samples, or several labels of each, from a row of logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from faultsim.errors import ConfigError
from faultsim.workload import metrics
from faultsim.workload.batch import Batch
from faultsim.workload.parts import Where, part
from faultsim.workload.readout import named
from faultsim.workload.task import Events, Task

MISSED, FALSE_ALARMS = "missed", "false_alarms"
TOP_1, TOP_5 = "top-1", "top-5"
TOP = 5
LOGITS = "logits"
"""What outputs call them, where they are no tensor."""

DROPS = {"confidence-10%": 0.1, "confidence-20%": 0.2}


class Classification(Task):
    """A sample is corrupted when its predicted class, or any of its labels, is another.

    Targets are (n,) classes, or (n, classes) of 0 and 1 where there are several labels. The logits
    are (n, classes), or one of each sample for two classes: above 0 the second.

    Where each sample has one class there are four events, as Li et al. define them (Understanding
    error propagation in deep learning neural network (DNN) accelerators and applications, SC'17):
    ``top-1``, another class than without faults; ``top-5``, a class that was not among the first
    five (never, where there are no more); ``confidence-10%`` and ``confidence-20%``, the
    probability of the first class differs by more than that share of what it was.
    """

    objective = "acc"

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        multi_label: bool = False,
        positive: int | None = None,
        logits: Where | None = None,
        name: str = "the data",
    ) -> None:
        """Says what the targets are.

        Args:
            num_classes: Number of classes, or of labels; None for as many as there are logits.
            multi_label: Whether each class is a label of its own.
            positive: The diseased class of two, whose detection is the sensitivity.
            logits: Where they are in the output, as ``"head.logits"``, ``1`` or a function of it.
                By default the output itself, what it calls ``logits``, or its first tensor.
            name: Of the data, for messages.
        """
        self.num_classes, self.multi_label, self.positive = num_classes, multi_label, positive
        classes = 2 if num_classes == 1 else num_classes
        self.chance = 0.5 if multi_label else 1 / classes if classes else 0.0
        self._where, self._name = logits, name

    def check(self, output: Any, batch: Batch) -> None:
        logits, labels = self._given(output), batch.targets
        if labels is None:
            raise ConfigError(
                f"{self._name}: no labels: they are the second of a pair (inputs, labels), or "
                "'labels' of a mapping"
            )
        if not isinstance(labels, torch.Tensor) or not self._whole(labels):
            raise ConfigError(f"{self._name}: labels must be whole numbers in a tensor")
        if not isinstance(logits, torch.Tensor) or logits.shape[:1] != (batch.size,):
            raise ConfigError("the model must return a tensor of logits, a row an image")
        if not logits.is_floating_point():
            raise ConfigError(
                f"the model's output is {logits.dtype}, where logits are real numbers"
            )
        rows = self.rows(output)
        wanted = max(self.num_classes or rows.shape[-1], 1 if self.multi_label else 2)
        few = rows.ndim != 2 or rows.shape[1] < wanted
        if few or (self.multi_label and rows.shape[1] > wanted):
            raise ConfigError(
                f"the model's output is {tuple(logits.shape)}, but {self._name} has "
                f"{wanted} {'labels' if self.multi_label else 'classes'}"
            )
        self._check_labels(labels, rows)

    def _check_labels(self, labels: torch.Tensor, rows: torch.Tensor) -> None:
        shape = tuple(rows.shape) if self.multi_label else (len(rows),)
        if self.labels(labels).shape != shape:
            raise ConfigError(f"{self._name}: labels are {tuple(labels.shape)}, not {shape}")

    def _whole(self, labels: torch.Tensor) -> bool:
        """Whether they are whole numbers; as real ones only 0 and 1, as for a binary loss."""
        if labels.is_complex():
            return False
        return not labels.is_floating_point() or bool(((labels == 0) | (labels == 1)).all())

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        rows: Any = self._given(output)  # a tensor of rows is a sequence of samples
        return rows  # type: ignore[no-any-return]

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        before, after = self.rows(golden), self.rows(output)
        was, now = (metrics.predict(rows, self.multi_label) for rows in (before, after))
        sdc = (was != now).any(dim=1)
        if self.multi_label:
            return sdc
        events = {TOP_1: sdc, TOP_5: _rank(before, now) >= TOP, **_drops(before, after)}
        if self.positive is not None:
            events[MISSED] = sdc & (was[:, 0] == self.positive)
            events[FALSE_ALARMS] = sdc & (now[:, 0] == self.positive)
        return events

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        return metrics.loss(self.rows(output), self.labels(batch.targets))

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        logits, labels = self._joined(outputs, batches)
        probabilities = metrics.probabilities(logits.double(), self.multi_label)
        return {**self.probe(outputs, batches), "auc": metrics.auc(probabilities, labels)}

    def probe(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        """The scores that a search rests on: all but the AUC, which takes longer than the rest."""
        logits, labels = self._joined(outputs, batches)
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

    def _given(self, output: Any) -> Any:
        return named(output, LOGITS) if self._where is None else part(output, self._where)

    def rows(self, output: Any) -> Any:
        """(n, classes); of a single logit z, 0 and z, whose softmax is the sigmoid of z."""
        logits = self._given(output)
        if self.multi_label or self.num_classes not in (None, 1, 2):
            return logits
        if logits.ndim == 1 or logits.shape[1:] == (1,):
            logits = logits.reshape(-1)
            return torch.stack([torch.zeros_like(logits), logits], dim=1)
        return logits

    def labels(self, labels: torch.Tensor) -> torch.Tensor:
        """(n,) int64, or (n, labels)."""
        column = not self.multi_label and labels.shape[1:] == (1,)
        return (labels[:, 0] if column else labels).long()

    def _joined(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.cat([self.labels(batch.targets) for batch in batches])
        return torch.cat([self.rows(output) for output in outputs]), labels


def _rank(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """(n,) how many classes come before one; of equals the first does.

    Args:
        logits: (n, classes).
        classes: (n, 1).
    """
    chosen = logits.gather(1, classes)
    earlier = torch.arange(logits.shape[1]) < classes
    return ((logits > chosen) | ((logits == chosen) & earlier)).sum(dim=1)


def _drops(before: torch.Tensor, after: torch.Tensor) -> dict[str, torch.Tensor]:
    was, now = (rows.double().softmax(dim=1).amax(dim=1) for rows in (before, after))
    return {name: (now - was).abs() > share * was for name, share in DROPS.items()}
