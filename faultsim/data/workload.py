"""A model and labelled data as one workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from faultsim.data.dataset import BINARY, SPLITS, Dataset
from faultsim.data.loading import dataset_of, splits_of
from faultsim.workload import Batch, Workload
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
        data: A :class:`Dataset`, or what :func:`faultsim.data.loading.splits_of` takes.
        name: Of the data, for messages and manifests.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(data, Dataset):
        return ImageWorkload(model, data)
    splits = splits_of(data, name)
    if splits["test"].images.ndim == IMAGE_AXES:
        return ImageWorkload(model, dataset_of(splits, name))
    task = Classification(multi_label=splits["test"].labels.ndim > 1, name=name)
    test, val = ((part.images, part.labels) for part in (splits["test"], splits["val"]))
    return Workload(model, test, task, search=val, name=name)
