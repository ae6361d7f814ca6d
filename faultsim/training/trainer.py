"""One training: everything that changes from epoch to epoch, and how it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from faultsim.config import TrainConfig
from faultsim.data import Dataset
from faultsim.data.evaluation import evaluate
from faultsim.devices import choose_device
from faultsim.errors import ConfigError
from faultsim.training.augment import AUGMENTATIONS
from faultsim.training.recipe import balanced_weights, learning_rate
from faultsim.workload import metrics


@dataclass(frozen=True)
class Epoch:
    """What one epoch reached.

    Attributes:
        number: From 1.
        lr: Its learning rate.
        loss: Mean training loss.
        val_loss: Mean loss on the validation split, without class weights.
        val_accuracy: On the validation split.
        val_auc: On the validation split; None where it is undefined.
    """

    number: int
    lr: float
    loss: float
    val_loss: float
    val_accuracy: float
    val_auc: float | None


class Trainer:
    """Model, optimiser and history of one training.

    Attributes:
        model: Trained in place, on the device of the configuration.
        history: One entry an epoch.
        kept: The weights of the best epoch, on the CPU.
    """

    def __init__(self, model: nn.Module, data: Dataset, config: TrainConfig) -> None:
        self.device = choose_device(config.device)
        if config.precision == "mixed" and self.device.type != "cuda":
            raise ConfigError("--precision mixed needs CUDA, and torch finds no CUDA device here")
        self.model, self.data, self.config = model.to(self.device), data, config
        self.history: list[Epoch] = []
        self.kept: dict[str, torch.Tensor] = {}
        self._mixed = config.precision == "mixed"
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._mixed)
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )
        self._class_weights = None
        if config.class_weights == "balanced":
            weights = balanced_weights(data.train.labels, data.num_classes)
            self._class_weights = weights.to(self.device)

    @property
    def best(self) -> Epoch:
        """The epoch of the highest monitored figure; of equals that of the lowest loss."""
        return max(self.history, key=self._rank)

    @property
    def finished(self) -> bool:
        """Whether the last epoch is over, or patience is."""
        done, patience = len(self.history), self.config.patience
        waited = done - self.best.number if done else 0
        return done >= self.config.epochs or 0 < patience <= waited

    def run_epoch(self, step: Callable[[int], None]) -> Epoch:
        """Trains for an epoch, evaluates, and keeps the weights if no epoch was better.

        Args:
            step: Called after each step with its number of images.

        Raises:
            ConfigError: The loss is no longer finite.
        """
        number = len(self.history) + 1
        lr = learning_rate(self.config, number)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        loss = self._train(step)
        if not math.isfinite(loss):
            raise ConfigError(f"the training loss of epoch {number} is {loss}: try a lower --lr")
        val = evaluate(self.model, self.data.val)
        epoch = Epoch(number, lr, loss, val.loss, val.accuracy, val.auc)
        self.history.append(epoch)
        if self.best is epoch:
            state = self.model.state_dict()
            self.kept = {key: value.to("cpu", copy=True) for key, value in state.items()}
        return epoch

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on, torch's random generators included."""
        cuda = self.device.type == "cuda"
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "history": [asdict(epoch) for epoch in self.history],
            "kept": self.kept,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to where :meth:`state_dict` was called.

        Raises:
            Exception: Something in it is not as it was written.
        """
        self.history = msgspec.convert(state["history"], list[Epoch])
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self.kept = state["kept"]
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self.device)

    def _train(self, step: Callable[[int], None]) -> float:
        self.model.train()
        split, total = self.data.train, 0.0
        # Of equal size: BatchNorm knows no variance of a last batch of one image.
        batches = math.ceil(len(split) / self.config.batch_size)
        for rows in torch.tensor_split(torch.randperm(len(split)), batches):
            total += self._step(split.images[rows], split.labels[rows]) * len(rows)
            step(len(rows))
        return total / len(split)

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        for augment in AUGMENTATIONS[self.config.augment]:
            images = augment(images, torch.default_generator)
        with torch.autocast(self.device.type, enabled=self._mixed):
            logits = self._logits(images)
        loss = metrics.loss(logits.float(), labels.to(self.device), self._class_weights)
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return loss.item()

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        try:
            logits: torch.Tensor = self.model(images.to(self.device))
        except Exception as error:
            shape = tuple(images.shape)
            reason = f"the model fails to train on images of shape {shape}: {error}"
            raise ConfigError(reason.split("\n")[0]) from error
        return logits

    def _rank(self, epoch: Epoch) -> tuple[float, float]:
        if not math.isfinite(epoch.val_loss):
            return -math.inf, -math.inf
        auc = epoch.val_auc if self.config.monitor == "auc" else None
        return (epoch.val_accuracy if auc is None else auc), -epoch.val_loss
