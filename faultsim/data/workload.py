"""A model and labelled data as one workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from faultsim.data.dataset import BINARY, SPLITS, Dataset
from faultsim.data.loading import dataset_of, splits_of
from faultsim.workload import Batch, Workload
from faultsim.workload.task import Events
from faultsim.workload.tasks import Classification

IMAGE_AXES = 4


class ImageWorkload(Workload):
    """A classifier of images.

    Attributes:
        data: The data set.
    """

    unit = "images"

    def __init__(self, model: nn.Module, data: Dataset) -> None:
        task = Classification(
            data.num_classes,
            multi_label=data.multi_label,
            positive=data.positive if data.task == BINARY else None,
            name=data.name,
        )
        test, val = ((part.images, part.labels) for part in (data.test, data.val))
        super().__init__(model, test, task, search=val, name=data.name)
        self.data = data

    def record(self, splits: Mapping[str, Sequence[Batch]]) -> dict[str, Any]:
        data = self.data
        return {
            "name": data.name,
            "digest": data.digest,
            "task": data.task,
            "positive": data.positive if data.task == BINARY else None,
            "images": {split: len(data.split(split)) for split in SPLITS},
        }


def labelled(model: nn.Module, data: Any, name: str) -> Workload:
    """A classifier of labelled samples: images where they look like such, else of any shape.

    Args:
        model: Samples to logits.
        data: A :class:`Dataset`, or what :func:`faultsim.data.loading.splits_of` takes; or samples
            without labels, which are compared with the golden run alone.
        name: Of the data, for messages and manifests.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(data, Dataset):
        return ImageWorkload(model, data)
    if _unlabelled(data):
        return Workload(model, data, another_class, name=name)
    splits = splits_of(data, name)
    if splits["test"].images.ndim == IMAGE_AXES:
        return ImageWorkload(model, dataset_of(splits, name))
    task = Classification(multi_label=splits["test"].labels.ndim > 1, name=name)
    test, val = ((part.images, part.labels) for part in (splits["test"], splits["val"]))
    return Workload(model, test, task, search=val, name=name)


def another_class(golden: Any, output: Any, batch: Batch) -> Events:
    """The events of :class:`Classification` that need no labels."""
    return Classification().changed(golden, output, batch)


def _unlabelled(data: Any) -> bool:
    """Whether it is samples alone: a tensor, or what yields such."""
    samples = data.dataset if isinstance(data, DataLoader) else data
    if isinstance(samples, TensorDataset):
        return len(samples.tensors) == 1
    return isinstance(samples, torch.Tensor)
