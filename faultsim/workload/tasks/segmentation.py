"""A class for every pixel of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.extras import check_installed
from faultsim.workload.parts import Where, part
from faultsim.workload.readout import named
from faultsim.workload.task import Events, Task

PIXEL = "any-pixel"
NAMES = ("out", "logits")
"""What outputs call their logits: those of torchvision, of transformers."""


class Segmentation(Task):
    """An image is corrupted when the class of more than a share of its pixels is another.

    Outputs are logits (n, classes, h, w), or (n, 1, h, w) for background and foreground: above 0
    the latter. Where targets, (n, h, w) classes, are of another size, logits are first resized to
    it, bilinearly. The event ``any-pixel`` happens when a single class changes.

    Figures over all pixels of a run, of targets: ``miou`` and ``dice``, the mean intersection over
    union and Dice coefficient of the classes that occur in targets or predictions; ``pixel_acc``;
    ``loss``, the mean cross entropy. A pixel whose logits are not finite is wrong. Without targets
    there are none, and a search lowers the share of unharmed images.
    """

    objective = "miou"

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        threshold: float = 0.01,
        ignore_index: int | None = None,
        background: bool | None = None,
        logits: Where | None = None,
    ) -> None:
        """Says what the logits are, and which pixels count.

        Args:
            num_classes: None for as many as there are logits.
            threshold: Share of an image's pixels that may change; 0 for none.
            ignore_index: A target whose pixels count nowhere.
            background: Whether class 0 counts in ``miou`` and ``dice``; by default unless there
                are only background and foreground, from one logit.
            logits: Where they are in the output, as ``"head.logits"`` or a function of it. By
                default what it calls ``out`` or ``logits``, itself, or its first tensor.

        Raises:
            ConfigError: The threshold is no share, or torchmetrics is missing.
        """
        check_installed("torchmetrics", "Segmentation")
        if not 0 <= threshold < 1:
            raise ConfigError(f"threshold must be a share of pixels below 1, not {threshold}")
        self.num_classes, self.threshold, self.ignore_index = num_classes, threshold, ignore_index
        self._background, self._where = background, logits

    def check(self, output: Any, batch: Batch) -> None:
        logits, targets = self._given(output), batch.targets
        if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
            raise ConfigError("the model must return logits (n, classes, h, w) of pixels")
        if logits.ndim != 4 or len(logits) != batch.size:
            raise ConfigError(
                f"logits are {tuple(logits.shape)}, not ({batch.size}, classes, height, width)"
            )
        classes = _pair(logits).shape[1]
        if self.num_classes not in (None, classes, logits.shape[1]):
            raise ConfigError(f"there are logits of {classes} classes, not {self.num_classes}")
        if targets is None:
            self.objective = ""  # for there are no figures
        else:
            self._check_targets(targets, batch.size, classes)

    def _check_targets(self, targets: Any, size: int, classes: int) -> None:
        if not isinstance(targets, torch.Tensor) or _masks(targets).ndim != 3:
            raise ConfigError("targets of pixels must be a tensor (n, height, width) of classes")
        if len(targets) != size or (targets.is_floating_point() and (targets % 1 != 0).any()):
            raise ConfigError(f"targets must be whole numbers for {size} images")
        known = targets[self._counts(targets)]
        wrong = known[(known < 0) | (known >= classes)]
        if len(wrong):
            raise ConfigError(
                f"a target is {int(wrong[0])}, but there are {classes} classes; ignore_index="
                f"{int(wrong[0])} leaves its pixels out"
            )

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        rows: Any = self._given(output)  # a tensor of rows is a sequence of samples
        return rows  # type: ignore[no-any-return]

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        was, now = (self._logits(each, batch).argmax(dim=1) for each in (golden, output))
        counts = torch.ones_like(was, dtype=torch.bool)
        if batch.targets is not None:
            counts = self._counts(_masks(batch.targets))
        different = ((was != now) & counts).flatten(1).sum(dim=1).double()
        pixels = counts.flatten(1).sum(dim=1)
        return {"sdc": different > self.threshold * pixels, PIXEL: different > 0}

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        if batch.targets is None:
            raise ConfigError("Segmentation has no loss without targets")
        total, pixels = self._entropy(self._logits(output, batch), _masks(batch.targets))
        return total / max(pixels, 1)

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        if any(batch.targets is None for batch in batches):
            return {}
        counts, entropy, pixels = torch.zeros(()), torch.zeros(()), 0
        for output, batch in zip(outputs, batches, strict=True):
            logits, targets = self._logits(output, batch).double(), _masks(batch.targets)
            counts = counts + self._counted(logits, targets)
            entropy_here, pixels_here = self._entropy(logits, targets)
            entropy, pixels = entropy + entropy_here, pixels + pixels_here
        loss = float(entropy) / pixels if pixels and entropy.isfinite() else None
        first = 0 if self._with_background(outputs[0]) else 1
        return {**_figures(counts, first), "loss": loss}

    def _given(self, output: Any) -> Any:
        return named(output, *NAMES) if self._where is None else part(output, self._where)

    def _logits(self, output: Any, batch: Batch) -> torch.Tensor:
        """(n, classes, h, w), of the targets' size where there are such."""
        logits = _pair(self._given(output))
        if batch.targets is None or (size := _masks(batch.targets).shape[1:]) == logits.shape[2:]:
            return logits
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)

    def _with_background(self, output: Any) -> bool:
        return self._given(output).shape[1] > 1 if self._background is None else self._background

    def _counts(self, targets: torch.Tensor) -> torch.Tensor:
        """Which pixels do."""
        if self.ignore_index is None:
            return torch.ones_like(targets, dtype=torch.bool)
        return targets != self.ignore_index

    def _entropy(self, logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, int]:
        """The cross entropy of the pixels that count, summed, and their number."""
        counts = self._counts(targets)
        known = targets.long().masked_fill(~counts, 0)
        entropy = functional.cross_entropy(logits, known, reduction="none")
        return entropy.masked_fill(~counts, 0).sum(), int(counts.sum())

    def _counted(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(classes, classes + 1) pixels by target and prediction, the last of none."""
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        classes, counts = logits.shape[1], self._counts(targets)
        found = logits.argmax(dim=1).masked_fill(~logits.isfinite().all(dim=1), classes)
        pixels: torch.Tensor = multiclass_confusion_matrix(
            found[counts], targets[counts].long(), classes + 1, validate_args=False
        )
        return pixels[:-1]


def _pair(logits: torch.Tensor) -> torch.Tensor:
    """Of a single logit z, 0 and z, whose softmax is the sigmoid of z."""
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


def _masks(targets: torch.Tensor) -> torch.Tensor:
    """(n, h, w), of (n, 1, h, w) too."""
    return targets[:, 0] if targets.ndim == 4 and targets.shape[1] == 1 else targets


def _figures(counts: torch.Tensor, first: int) -> dict[str, float | None]:
    """Of pixels by target and prediction, in the classes from ``first`` on."""
    right = counts.diagonal().double()
    wanted, found = counts.sum(dim=1), counts[:, :-1].sum(dim=0)
    occurs = wanted + found > 0
    occurs[:first] = False
    iou, dice = right / (wanted + found - right), 2 * right / (wanted + found)
    pixels = int(counts.sum())
    return {
        "miou": float(iou[occurs].mean()) if occurs.any() else None,
        "dice": float(dice[occurs].mean()) if occurs.any() else None,
        "pixel_acc": float(right.sum()) / pixels if pixels else None,
    }
