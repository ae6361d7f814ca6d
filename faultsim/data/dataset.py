"""Images and labels, in three splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import ConfigError

SPLITS = ("train", "val", "test")
BINARY, MULTI_CLASS, MULTI_LABEL = "binary-class", "multi-class", "multi-label"
MOST_CLASSES = 100_000
TASKS = (BINARY, MULTI_CLASS, "ordinal-regression", MULTI_LABEL)


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        images: (n, channels, height, width) float32 in [0, 1].
        labels: (n,) int64 classes; (n, classes) int64 of 0 and 1 where there are several labels.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int | None) -> Split:
        """The first ``n`` images, all for None."""
        return self if n is None else Split(self.images[:n], self.labels[:n])


def split_of(pixels: npt.NDArray[np.uint8], labels: npt.ArrayLike) -> Split:
    """A split of 8-bit images.

    Args:
        pixels: (n, height, width) or (n, height, width, channels) uint8.
        labels: (n,) or (n, 1) classes, or (n, classes) of 0 and 1.
    """
    planes = torch.from_numpy(pixels if pixels.ndim == 4 else pixels[..., None])
    images = planes.permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(255)
    return Split(images, labels_of(labels))


def labels_of(labels: npt.ArrayLike | torch.Tensor) -> torch.Tensor:
    """Labels as a :class:`Split` has them: one column is classes, more are several labels.

    Raises:
        ValueError: One is no whole number.
    """
    given = torch.as_tensor(labels)
    if given.is_complex():
        raise ValueError(f"labels must be whole numbers, not {given.dtype}")
    whole = given.to(torch.int64)
    if given.is_floating_point() and (strange := whole.to(given.dtype) != given).any():
        raise ValueError(f"labels must be whole numbers, not {given[strange][0].item()}")
    several = whole.ndim == 2 and whole.shape[1] > 1
    return whole if several else whole.reshape(-1)


def count_classes(splits: Sequence[Split]) -> int:
    """One more than the largest class of all splits, or the number of labels.

    Raises:
        ConfigError: A class beyond those that can be told apart.
    """
    rows = splits[0].labels
    if rows.ndim == 2:
        return rows.shape[1]
    largest = max((int(split.labels.max()) for split in splits if len(split)), default=0)
    if largest >= MOST_CLASSES:
        raise ConfigError(f"there is a label {largest}; classes are numbered below {MOST_CLASSES}")
    return 1 + largest


@dataclass(frozen=True)
class Dataset:
    """A classification data set.

    Attributes:
        name: For messages, manifests and shipped checkpoints.
        num_classes: Number of classes, or of labels.
        train: What models are trained on; may be empty.
        val: What searches and early stopping may look at; may be empty.
        test: What results are reported on.
        task: ``binary-class``, ``multi-class``, ``ordinal-regression`` or ``multi-label``; unless
            given, what labels and classes look like.
        classes: Their names; unless given, their numbers.
        positive: The diseased class of a binary set, whose detection is its sensitivity.
    """

    name: str
    num_classes: int
    train: Split
    val: Split
    test: Split
    _: KW_ONLY
    task: str = ""
    classes: tuple[str, ...] = ()
    positive: int = 1

    def __post_init__(self) -> None:
        if self.num_classes > MOST_CLASSES:
            raise ConfigError(f"{self.name}: {self.num_classes} classes, more than {MOST_CLASSES}")
        fill = partial(object.__setattr__, self)  # frozen
        fill("task", self.task or _task(self.test.labels, self.num_classes))
        fill("classes", self.classes or tuple(map(str, range(self.num_classes))))
        if self.task not in TASKS:
            raise ConfigError(f"{self.name}: {self.task!r} is no task; use one of {TASKS}")
        if self.task == BINARY and not (self.num_classes == 2 and self.positive in (0, 1)):
            raise ConfigError(f"{self.name}: a binary set has classes 0 and 1, one positive")
        if len(self.classes) != self.num_classes:
            raise ConfigError(
                f"{self.name}: {len(self.classes)} names for {self.num_classes} classes"
            )
        for name in SPLITS:
            self._check(name)

    @property
    def in_channels(self) -> int:
        return self.test.images.shape[1]

    @property
    def image_size(self) -> int | None:
        """Side of the images; None where they are not square."""
        height, width = self.test.images.shape[2:]
        return height if height == width else None

    @property
    def multi_label(self) -> bool:
        return self.task == MULTI_LABEL

    @property
    def directions(self) -> dict[str, str]:
        """How a prediction of a binary set can turn, by name of outcome; else nothing."""
        if self.task != BINARY:
            return {}
        sick, healthy = self.classes[self.positive], self.classes[1 - self.positive]
        return {"missed": f"{sick} → {healthy}", "false_alarms": f"{healthy} → {sick}"}

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
            digest.update(part.images.detach().contiguous().numpy().data)
            digest.update(part.labels.contiguous().numpy().data)
        return digest.hexdigest()

    def _check(self, split: str) -> None:
        images, labels = self.split(split).images, self.split(split).labels
        name = f"{self.name} {split}"
        row = (self.num_classes,) if self.multi_label else ()
        if images.ndim != 4 or labels.shape != images.shape[:1] + row:
            raise ConfigError(
                f"{name}: images must be (n, channels, height, width) with "
                f"{'n rows of labels' if row else 'n labels'}, not "
                f"{tuple(images.shape)} with {tuple(labels.shape)}"
            )
        if labels.dtype.is_floating_point or labels.dtype.is_complex:
            raise ConfigError(f"{name}: labels must be integers, not {labels.dtype}")
        most = 1 if row else self.num_classes - 1
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) <= most:
            raise ConfigError(f"{name}: labels are not all in 0 to {most}")


def _task(labels: torch.Tensor, num_classes: int) -> str:
    if labels.ndim == 2:
        return MULTI_LABEL
    return BINARY if num_classes == 2 else MULTI_CLASS
