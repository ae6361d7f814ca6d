"""The test bench: a model, its data and the golden run every trial is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from faultsim import metrics
from faultsim.data import Dataset, Split
from faultsim.data.dataset import BINARY
from faultsim.errors import ConfigError, FaultSimError, InjectionError
from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.judge import Golden, judge
from faultsim.models import model_digest
from faultsim.ops import check_device_flag
from faultsim.ops.grid import on_grid
from faultsim.perturb import Perturbation, perturb_split
from faultsim.replay import CapturedTrials, Prefix
from faultsim.trial import Outcome, Trial


@dataclass(frozen=True)
class Attack:
    """What happens to the images of a campaign beside its faults.

    Attributes:
        perturbation: What is done to them.
        seed: Of what is random in it.
        adapts: Whether each trial's images are perturbed anew, with its faults armed; else once,
            on the golden model. Only attacks can tell the difference.
    """

    perturbation: Perturbation
    seed: int = 0
    adapts: bool = False


class Bench:
    """Runs trials on one model and one data set.

    Attributes:
        model: In eval mode, on ``device``.
        data: The data set.
        batch_size: Images in a forward pass.
        device: Where the model runs.
        attack: What happens to the images, None for nothing.
        replay: Whether a trial runs only what its faults can reach; outcomes are the same.
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
        attack: Attack | None = None,
        replay: bool = True,
    ) -> None:
        self.model = model.to(device).eval()
        self.data = data
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.attack = attack
        self.replay = replay
        self.digest = model_digest(model)
        self._limit = limit
        self._clean: dict[str, Golden] = {}
        self._golden: dict[str, Golden] = {}

    def golden(self, split: str) -> Golden:
        """The golden run on ``test`` or ``val``, computed once; on perturbed images under attack.

        Raises:
            ConfigError: The split is empty, or the model does not give a row of logits an image.
        """
        if self.attack is None:
            return self.clean(split)
        if split not in self._golden:
            clean = self.clean(split)  # first, for its errors
            part = perturb_split(
                self.attack.perturbation,
                self.model,
                clean.split,
                seed=self.attack.seed,
                batch_size=self.batch_size,
                device=self.device,
            )
            self._golden[split] = self._recorded(part, clean.positive)
        return self._golden[split]

    def clean(self, split: str) -> Golden:
        """The golden run on the images as they are."""
        if split not in self._clean:
            part = self.data.split(split).first(self._limit)
            if not len(part):
                raise ConfigError(f"{self.data.name} has no {split} images")
            positive = self.data.positive if self.data.task == BINARY else None
            self._clean[split] = self._recorded(part, positive)
        return self._clean[split]

    def _recorded(self, part: Split, positive: int | None) -> Golden:
        prefix = self._prefix(part)
        logits = self.logits_of(part, self.model if prefix is None else prefix.record)
        return Golden(part, logits, positive, prefix, self._captured(prefix))

    def _prefix(self, part: Split) -> Prefix | None:
        if not self.replay:
            return None
        try:
            return Prefix(self.model, part.images[: self.batch_size].to(self.device), len(part))
        except Exception:  # the golden run meets it again, and says what it is
            return None

    def replays(self, split: str) -> bool:
        """Whether the model can be cut, so that trials need not run all of it."""
        prefix = self.golden(split).prefix
        return prefix is not None and len(prefix.cuts) > 0

    def _captured(self, prefix: Prefix | None) -> CapturedTrials | None:
        place = torch.empty(0, device=self.device)
        if prefix is None or not on_grid(place):
            return None
        return CapturedTrials(self.model, prefix, place.device)

    def golden_outcome(self, split: str) -> Outcome:
        """The golden run as a trial without faults."""
        golden = self.golden(split)
        return judge(golden.logits, golden)

    def clean_outcome(self, split: str) -> Outcome:
        """The golden run on the images as they are, as a trial without faults."""
        clean = self.clean(split)
        return judge(clean.logits, clean)

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
        reports = trial.split == "test"
        if self.attack is None:
            return judge(self._logits(golden, trial.faults), golden, with_auc=reports)
        clean = self.clean(trial.split).first(trial.images)
        if self.attack.adapts:
            part = self._attacked(clean, trial.faults)
            golden = Golden(part, self.logits_of(part), clean.positive)
        outcome = judge(self._logits(golden, trial.faults), golden, with_auc=reports)
        if not reports:
            return outcome
        alone = self._logits(clean, trial.faults)
        return replace(outcome, clean_acc=metrics.accuracy(alone, clean.split.labels))

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
            for images, labels in self._batches(part):
                try:
                    logits = (forward or self.model)(images)
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

    def _logits(self, golden: Golden, faults: FaultSet) -> torch.Tensor:
        """Under faults, on the images of a golden run, on the CPU."""
        batches = self._images_of(golden)
        rows = golden.captured.run(faults, batches) if golden.captured else None
        rows = rows or self._injected(golden, faults, batches)
        logits = torch.cat([each.cpu() for each in rows])
        if self.device.type == "cuda":  # awaited just now
            check_device_flag(self.device)
        return logits

    def _images_of(self, golden: Golden) -> list[torch.Tensor]:
        """The batches, on the device."""
        batches = torch.split(golden.split.images, self.batch_size)
        if golden.prefix is None:
            return [images.to(self.device) for images in batches]
        return [golden.prefix.images(number, images) for number, images in enumerate(batches)]

    def _injected(
        self, golden: Golden, faults: FaultSet, batches: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        rows, injector = [], Injector(self.model, faults)
        with injector, torch.no_grad():
            for number, images in enumerate(batches):
                try:
                    rows.append(self._forward(golden, number, images, faults).cpu())
                except (FaultSimError, MemoryError, torch.OutOfMemoryError):
                    raise
                except Exception:  # a fault that makes the forward pass raise is a detected error
                    nothing = (len(images), golden.logits.shape[1])
                    rows.append(golden.logits.new_full(nothing, torch.nan))
                injector.advance(len(images))
        return rows

    def _forward(
        self, golden: Golden, number: int, images: torch.Tensor, faults: FaultSet
    ) -> torch.Tensor:
        if golden.prefix is None:
            logits: torch.Tensor = self.model(images)
            return logits
        return golden.prefix.run(number, images, faults)

    def _attacked(self, clean: Golden, faults: FaultSet) -> Split:
        """The images attacked while the faults are armed; as they are where the model raises."""
        assert self.attack is not None
        generator = torch.Generator().manual_seed(self.attack.seed)
        changed, injector = [], Injector(self.model, faults)
        with injector:
            for images, labels in self._batches(clean.split):
                try:
                    images = self.attack.perturbation(self.model, images, labels, generator)
                except (FaultSimError, MemoryError, torch.OutOfMemoryError):
                    raise
                except Exception:  # judging the trial meets it again, as a detected error
                    pass
                changed.append(images.cpu())
                injector.advance(len(images))
        return Split(torch.cat(changed), clean.split.labels)
