"""Golden runs: the model without faults, whose outputs every trial is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from faultsim.data import Dataset, Split
from faultsim.data.dataset import BINARY
from faultsim.errors import ConfigError, FaultSimError
from faultsim.ops.grid import check_device, on_grid
from faultsim.run.replay import CapturedTrials, Prefix


@dataclass(frozen=True)
class Golden:
    """The fault-free run on one split.

    Attributes:
        split: Images and labels.
        logits: (n, classes), on the CPU.
        positive: The diseased class of a binary set, None of others.
        prefix: The golden values inside the model, where trials may begin.
        captured: The trials of a CUDA device.
    """

    split: Split
    logits: torch.Tensor
    positive: int | None = None
    prefix: Prefix | None = None
    captured: CapturedTrials | None = None

    def first(self, n: int | None) -> Golden:
        """The run on the first ``n`` images, all for None."""
        return replace(self, split=self.split.first(n), logits=self.logits[:n])


class GoldenRuns:
    """Runs one model on one data set, without faults.

    Args:
        model: In eval mode, on ``device``.
        data: The data set.
        batch_size: Images in a forward pass.
        limit: How many images of each split, from the first; None for all.
        device: Where the model runs.
        replay: Whether to keep what trials need to run only what their faults can reach.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        batch_size: int,
        limit: int | None,
        device: torch.device,
        replay: bool,
    ) -> None:
        self._model, self._data, self._batch_size = model, data, batch_size
        self._limit, self._device, self._replay = limit, device, replay
        self._clean: dict[str, Golden] = {}

    def clean(self, split: str) -> Golden:
        """The golden run on a split, computed once.

        Raises:
            ConfigError: The split is empty, or the model does not give a row of logits an image.
        """
        if split not in self._clean:
            part = self._data.split(split).first(self._limit)
            if not len(part):
                raise ConfigError(f"{self._data.name} has no {split} images")
            self._clean[split] = self.of(part)
        return self._clean[split]

    def of(self, part: Split) -> Golden:
        """The golden run on some images; errors as :meth:`logits_of`."""
        positive = self._data.positive if self._data.task == BINARY else None
        prefix = self._prefix(part)
        logits = self.logits_of(part, self._model if prefix is None else prefix.record)
        return Golden(part, logits, positive, prefix, self._captured(prefix))

    def _prefix(self, part: Split) -> Prefix | None:
        if not self._replay:
            return None
        try:
            return Prefix(self._model, part.images[: self._batch_size].to(self._device), len(part))
        except Exception:  # the golden run meets it again, and says what it is
            return None

    def _captured(self, prefix: Prefix | None) -> CapturedTrials | None:
        place = torch.empty(0, device=self._device)
        if prefix is None or not on_grid(place):
            return None
        try:
            check_device(place.device)
            return CapturedTrials(self._model, prefix, place.device)
        except FaultSimError:  # each trial is run without, and says what it is
            return None

    def logits_of(
        self, part: Split, forward: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """(n, classes) without faults, on the CPU.

        Args:
            part: Images, and labels that the output must suit.
            forward: What runs the model on a batch, None for the model itself.

        Raises:
            ConfigError: The model fails, or does not give a row of logits an image.
        """
        rows = []
        with torch.no_grad():
            for images, labels in self.batches(part):
                try:
                    logits = (forward or self._model)(images)
                except Exception as error:
                    shape = tuple(images.shape)
                    raise ConfigError(
                        f"the model fails on images of shape {shape}: {error}".split("\n")[0]
                    ) from error
                if not isinstance(logits, torch.Tensor) or logits.shape[:1] != labels.shape[:1]:
                    raise ConfigError("the model must return a tensor of logits, a row an image")
                rows.append(logits.cpu())
        logits = torch.cat(rows)
        few = logits.ndim != 2 or logits.shape[1] < self._data.num_classes
        if few or (self._data.multi_label and logits.shape[1] > self._data.num_classes):
            raise ConfigError(
                f"the model's output is {tuple(logits.shape)}, but {self._data.name} has "
                f"{self._data.num_classes} {'labels' if self._data.multi_label else 'classes'}"
            )
        return logits

    def batches(self, part: Split) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Images and labels, on the device."""
        size = self._batch_size
        pairs = zip(torch.split(part.images, size), torch.split(part.labels, size), strict=True)
        return [(images.to(self._device), labels.to(self._device)) for images, labels in pairs]
