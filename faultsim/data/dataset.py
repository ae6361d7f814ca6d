"""Images and labels, in three splits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch

from faultsim.errors import ConfigError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        images: (n, channels, height, width) float32 in [0, 1].
        labels: (n,) int64 classes.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int | None) -> Split:
        """The first ``n`` images, all for None."""
        return self if n is None else Split(self.images[:n], self.labels[:n])


@dataclass(frozen=True)
class Dataset:
    """A classification data set.

    Attributes:
        name: For messages, manifests and shipped checkpoints.
        num_classes: Number of classes.
        train: What models are trained on; may be empty.
        val: What searches and early stopping may look at; may be empty.
        test: What results are reported on.
    """

    name: str
    num_classes: int
    train: Split
    val: Split
    test: Split

    def __post_init__(self) -> None:
        for name in SPLITS:
            _check(f"{self.name} {name}", self.split(name), self.num_classes)

    @property
    def in_channels(self) -> int:
        return self.test.images.shape[1]

    def split(self, name: str) -> Split:
        """``train``, ``val`` or ``test``."""
        found: Split = getattr(self, name)
        return found

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the words of every split."""
        digest = hashlib.sha256()
        for name in SPLITS:
            part = self.split(name)
            digest.update(f"{name} {tuple(part.images.shape)}\n".encode())
            digest.update(part.images.contiguous().numpy().data)
            digest.update(part.labels.contiguous().numpy().data)
        return digest.hexdigest()


def _check(name: str, split: Split, num_classes: int) -> None:
    images, labels = split.images, split.labels
    if images.ndim != 4 or labels.shape != images.shape[:1]:
        raise ConfigError(
            f"{name}: images must be (n, channels, height, width) with n labels, not "
            f"{tuple(images.shape)} with {tuple(labels.shape)}"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ConfigError(f"{name}: labels are not all in 0 to {num_classes - 1}")
