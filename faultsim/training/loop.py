"""Trains a model from its first epoch to its last, across interruptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from faultsim.config import TrainConfig
from faultsim.data import Dataset
from faultsim.data.dataset import SPLITS
from faultsim.errors import ConfigError
from faultsim.training.state import identity, read_state, write_state
from faultsim.training.trainer import Epoch, Trainer


def train(
    model: nn.Module,
    data: Dataset,
    config: TrainConfig,
    report: Callable[[Epoch], None] = lambda epoch: None,
    *,
    step: Callable[[int], None] = lambda images: None,
    state: Path | None = None,
) -> Epoch:
    """Trains ``model`` in place and leaves it with the weights of its best epoch, in eval mode.

    AdamW on the cross entropy, or the binary cross entropy of each label where there are several.
    The best epoch is that of the highest validation AUC (or accuracy, as ``config.monitor`` says,
    or where the AUC is undefined); of equals that of the lowest validation loss. The test split is
    not looked at. On one platform, the same seed and number of threads give the same weights, with
    interruptions or without. torch's own random generators are left as they were found.

    Args:
        model: Images in [0, 1] to logits.
        data: Three splits with images.
        config: The recipe; ``out`` and ``data_root`` are not used here.
        report: Called after each epoch, once its state is written.
        step: Called after each optimiser step with its number of images.
        state: Written after each epoch, so that ``config.resume`` can go on from there, and left
            to the caller to delete; None keeps no state.

    Returns:
        The epoch whose weights were kept.

    Raises:
        ConfigError: An empty split, a device that is not there, a loss that is no longer finite;
            a state that is in the way, missing, or of another training.
    """
    for split in SPLITS:
        if not len(data.split(split)):
            raise ConfigError(f"{data.name} has no {split} images; training needs all three splits")
    if config.resume and state is None:
        raise ConfigError("resume needs the state file of the interrupted training")
    trainer = Trainer(model, data, config)
    with _random_streams(trainer.device, config.seed):
        now = identity(model, data, config)
        if state is not None:
            _begin(trainer, state, now)
        while not trainer.finished:
            epoch = trainer.run_epoch(step)
            if state is not None:
                write_state(state, now, trainer.state_dict())
            report(epoch)
    model.load_state_dict(trainer.kept)
    model.eval()
    return trainer.best


def _begin(trainer: Trainer, state: Path, now: dict[str, str]) -> None:
    if trainer.config.resume:
        whole = read_state(state, now)
        try:
            trainer.load_state_dict(whole)
        except Exception as error:  # torch raises whatever a tensor of another kind makes it
            cause = str(error).partition("\n")[0]
            raise ConfigError(f"{state} is not the state of a training: {cause}") from None
    elif state.exists():
        raise ConfigError(
            f"{state} holds an interrupted training: give --resume to go on with it, or delete it"
        )


@contextmanager
def _random_streams(device: torch.device, seed: int) -> Iterator[None]:
    """Seeded global generators, on which stochastic depth draws, and the caller's again after."""
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, deterministic=True),
    ):
        torch.manual_seed(seed)
        yield
