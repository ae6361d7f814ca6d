"""The test bench: a model, its data and the golden run every trial is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from faultsim.data import Dataset, Split
from faultsim.errors import FaultSimError, InjectionError
from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.models import model_digest
from faultsim.models.loading import evaluating
from faultsim.ops import check_device_flag
from faultsim.perturb import Perturbation, perturb_split
from faultsim.run.golden import Golden, GoldenRuns
from faultsim.run.judge import judge
from faultsim.run.trial import Outcome, Trial
from faultsim.workload import metrics


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
        self.model = evaluating(model.to(device))
        self.data = data
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.attack = attack
        self.replay = replay
        self.digest = model_digest(model)
        self._runs = GoldenRuns(self.model, data, batch_size, limit, self.device, replay)
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
            self._golden[split] = self._runs.of(part)
        return self._golden[split]

    def clean(self, split: str) -> Golden:
        """The golden run on the images as they are; errors as :meth:`golden`."""
        return self._runs.clean(split)

    def replays(self, split: str) -> bool:
        """Whether the model can be cut, so that trials need not run all of it."""
        prefix = self.golden(split).prefix
        return prefix is not None and len(prefix.cuts) > 0

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
        images, labels = self._runs.batches(self.golden("val").split)[0]
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

    def logits_of(self, part: Split) -> torch.Tensor:
        """(n, classes) without faults, on the CPU; errors as :meth:`golden`."""
        return self._runs.logits_of(part)

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
            for images, labels in self._runs.batches(clean.split):
                try:
                    images = self.attack.perturbation(self.model, images, labels, generator)
                except (FaultSimError, MemoryError, torch.OutOfMemoryError):
                    raise
                except Exception:  # judging the trial meets it again, as a detected error
                    pass
                changed.append(images.cpu())
                injector.advance(len(images))
        return Split(torch.cat(changed), clean.split.labels)
