"""Data by name, path or import path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as Samples

from faultsim.config.importing import call_factory
from faultsim.data.dataset import SPLITS, Dataset, Split, count_classes, labels_of
from faultsim.data.digits import load_digits
from faultsim.data.folder import load_folder
from faultsim.data.medmnist import NAMES, load_medmnist, load_medmnist_file
from faultsim.errors import ConfigError
from faultsim.workload.failures import cause


def load_data(spec: str, root: str | Path | None = None, size: int | None = None) -> Dataset:
    """A data set in three splits, in memory.

    Args:
        spec: ``digits`` or the name of a 2D set of MedMNIST; a folder of images (``./digits`` if
            it is called like a set); the path of an ``.npz`` file with MedMNIST's keys; or
            ``package.module:factory``, which returns what :func:`dataset_of` takes.
        root: Folder of MedMNIST's files, where nothing is downloaded; ``~/.medmnist`` unless given.
        size: Side of the images, of MedMNIST sets and image folders.

    Raises:
        ConfigError: Nothing there, or it cannot be read as images and labels.
    """
    if spec in NAMES:
        return load_medmnist(spec, root, size)
    if spec != "digits" and Path(spec).is_dir():
        return load_folder(Path(spec), size)
    if size is not None:
        raise ConfigError(f"--size goes with MedMNIST's sets and image folders, not with {spec}")
    if spec == "digits":
        return load_digits()
    if spec.endswith(".npz") or "/" in spec:
        return load_medmnist_file(Path(spec))
    if ":" in spec:
        return dataset_of(call_factory(spec, {}), spec)
    return load_medmnist(spec, root)  # which names the sets there are


def dataset_of(made: Any, name: str) -> Dataset:
    """A data set, from what people have at hand.

    Args:
        made: A :class:`Dataset`; a pair (images, labels) of arrays or tensors; a torch ``Dataset``
            or ``DataLoader`` of such pairs; or a mapping of train, val and test to any of these.
        name: For messages and manifests.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(made, Dataset):
        return made
    parts = made if isinstance(made, Mapping) else {"test": made}
    try:
        splits = {key: _split(part) for key, part in parts.items()}
        test = splits["test"]
    except ConfigError:
        raise
    except Exception as error:  # of a data set of the user's own, too
        raise ConfigError(
            f"{name} must be a Dataset, (images, labels), a torch Dataset or DataLoader of such "
            f"pairs, or a mapping of train, val and test to them: {cause(error)}"
        ) from None
    empty = Split(test.images[:0], test.labels[:0])
    found = [splits.get(key, empty) for key in SPLITS]
    return Dataset(name, count_classes(found), *found)


def _split(made: Any) -> Split:
    if isinstance(made, Split):
        return made
    if isinstance(made, TensorDataset):
        return _pair(*made.tensors)
    if isinstance(made, (Samples, DataLoader)):
        loader = made if isinstance(made, DataLoader) else DataLoader(made, batch_size=256)
        return _pair(*(torch.cat(column) for column in zip(*loader, strict=True)))
    return _pair(*made)


def _pair(images: Any, labels: Any) -> Split:
    told = torch.as_tensor(labels)
    if told.is_floating_point() and not bool((told == told.round()).all()):
        raise ConfigError(
            "labels must be whole numbers; for a regression give a Workload with its task"
        )
    return Split(torch.as_tensor(images).detach().to(torch.float32), labels_of(told))
