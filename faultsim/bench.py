"""The test bench: a model, its data and the golden run every trial is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from faultsim import metrics
from faultsim.data import Dataset, Split
from faultsim.data.dataset import BINARY
from faultsim.errors import ConfigError, FaultSimError, InjectionError
from faultsim.faults import FaultSet
from faultsim.formats import FORMATS
from faultsim.injector import Injector
from faultsim.models import model_digest
from faultsim.ops import check_device_flag
from faultsim.trial import Outcome, Trial


@dataclass(frozen=True)
class Golden:
    """The fault-free run on one split.

    Attributes:
        split: Images and labels.
        logits: (n, classes), on the CPU.
        positive: The diseased class of a binary set, None of others.
    """

    split: Split
    logits: torch.Tensor
    positive: int | None = None

    def first(self, n: int | None) -> Golden:
        """The run on the first ``n`` images, all for None."""
        return Golden(self.split.first(n), self.logits[:n], self.positive)


class Bench:
    """Runs trials on one model and one data set.

    Attributes:
        model: In eval mode, on ``device``.
        data: The data set.
        batch_size: Images in a forward pass.
        device: Where the model runs.
        digest: Of the model before the first trial.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        *,
        batch_size: int = 128,
        limit: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.model = model.to(device).eval()
        self.data = data
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.digest = model_digest(model)
        self._limit = limit
        self._golden: dict[str, Golden] = {}

    def golden(self, split: str) -> Golden:
        """The golden run on ``test`` or ``val``, computed once.

        Raises:
            ConfigError: The split is empty, or the model does not give a row of logits an image.
        """
        if split not in self._golden:
            part = self.data.split(split).first(self._limit)
            if not len(part):
                raise ConfigError(f"{self.data.name} has no {split} images")
            positive = self.data.positive if self.data.task == BINARY else None
            self._golden[split] = Golden(part, self._golden_logits(part), positive)
        return self._golden[split]

    def golden_outcome(self, split: str) -> Outcome:
        """The golden run as a trial without faults."""
        golden = self.golden(split)
        return judge(golden.logits, golden)

    def first_batch(self) -> torch.Tensor:
        """Images of the first batch of a trial, on the device."""
        images = self.golden("test").split.images
        return images[: self.batch_size].to(self.device)

    def run(self, trial: Trial) -> Outcome:
        """Arms the faults, evaluates and disarms.

        Raises:
            FaultSimError: The faults do not fit the model, or one never fired.
        """
        golden = self.golden(trial.split).first(trial.images)
        injector = Injector(self.model, trial.faults)
        with injector, torch.no_grad():
            logits = self._logits(golden, injector)
            if self.device.type == "cuda":  # awaited just now, for the logits
                check_device_flag(self.device)
        return judge(logits, golden, with_auc=trial.split == "test")

    def gradients(self, faults: FaultSet) -> dict[str, torch.Tensor]:
        """Gradient of the mean loss on the first validation batch for every parameter, beside it.

        Non-finite elements become 0 or the largest finite number, so that they can be ranked.

        Args:
            faults: Armed meanwhile.
        """
        images, labels = self._batches(self.golden("val").split)[0]
        leaves = {n: p for n, p in self.model.named_parameters() if p.is_floating_point()}
        before = {name: leaf.requires_grad for name, leaf in leaves.items()}
        try:
            for leaf in leaves.values():
                leaf.requires_grad_(True)
            with Injector(self.model, faults):
                loss = metrics.loss(self.model(images), labels)
                grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        finally:
            for name, leaf in leaves.items():
                leaf.requires_grad_(before[name])
        known = zip(leaves, grads, strict=True)
        return {name: grad.nan_to_num() for name, grad in known if grad is not None}

    def check_intact(self) -> None:
        """Raises InjectionError unless every word of the model is what it was at the start."""
        if model_digest(self.model) != self.digest:
            raise InjectionError("the model changed during the campaign: its digest differs")

    def _batches(self, part: Split) -> list[tuple[torch.Tensor, torch.Tensor]]:
        size = self.batch_size
        pairs = zip(torch.split(part.images, size), torch.split(part.labels, size), strict=True)
        return [(images.to(self.device), labels.to(self.device)) for images, labels in pairs]

    def _golden_logits(self, part: Split) -> torch.Tensor:
        rows = []
        with torch.no_grad():
            for images, labels in self._batches(part):
                try:
                    logits = self.model(images)
                except Exception as error:
                    shape = tuple(images.shape)
                    raise ConfigError(
                        f"the model fails on images of shape {shape}: {error}".split("\n")[0]
                    ) from error
                if not isinstance(logits, torch.Tensor) or logits.shape[:1] != labels.shape[:1]:
                    raise ConfigError("the model must return a tensor of logits, a row an image")
                rows.append(logits.cpu())
        logits = torch.cat(rows)
        few = logits.ndim != 2 or logits.shape[1] < self.data.num_classes
        if few or (self.data.multi_label and logits.shape[1] > self.data.num_classes):
            raise ConfigError(
                f"the model's output is {tuple(logits.shape)}, but {self.data.name} has "
                f"{self.data.num_classes} {'labels' if self.data.multi_label else 'classes'}"
            )
        return logits

    def _logits(self, golden: Golden, injector: Injector) -> torch.Tensor:
        rows = []
        for images, _ in self._batches(golden.split):
            try:
                rows.append(self.model(images).cpu())
            except (FaultSimError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception:  # a fault that makes the forward pass raise is a detected error
                rows.append(
                    golden.logits.new_full((len(images), golden.logits.shape[1]), torch.nan)
                )
            injector.advance(len(images))
        return torch.cat(rows)


def judge(logits: torch.Tensor, golden: Golden, *, with_auc: bool = True) -> Outcome:
    """Classifies every image of a trial.

    Args:
        logits: (n, classes) under faults.
        golden: The golden run on the same images.
        with_auc: Off while searching: no decision rests on it, and it takes longer than the rest.
    """
    labels, several = golden.split.labels, golden.split.labels.ndim == 2
    word = FORMATS[logits.dtype].word
    same = (logits.view(word) == golden.logits.view(word)).all(dim=1)
    due = ~logits.isfinite().all(dim=1)
    was, now = metrics.predict(golden.logits, several), metrics.predict(logits, several)
    sdc = ~due & (was != now).any(dim=1)
    right = metrics.hits(logits, labels).all(dim=1)
    deviation = (logits.double() - golden.logits.double()).abs()
    finite = deviation[deviation.isfinite()]
    masked = same & ~due
    outcome = Outcome(
        n=len(logits),
        correct=int(right.sum()),
        due=int(due.sum()),
        sdc=int(sdc.sum()),
        benign=int((~due & ~sdc & ~same).sum()),
        masked=int(masked.sum()),
        loss=float(metrics.loss(logits.double(), labels)),
        max_dev=float(finite.max()) if len(finite) else 0.0,
        acc=metrics.accuracy(logits, labels),
        auc=metrics.auc(metrics.probabilities(logits.double(), several), labels)
        if with_auc
        else None,
    )
    if golden.positive is None:
        return outcome
    sensitivity, specificity = metrics.sensitivity_specificity(right, labels, golden.positive)
    return replace(
        outcome,
        sensitivity=sensitivity,
        specificity=specificity,
        missed=int((sdc & (was[:, 0] == golden.positive)).sum()),
        false_alarms=int((sdc & (now[:, 0] == golden.positive)).sum()),
    )
