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
from faultsim.devices import seeded
from faultsim.errors import ConfigError
from faultsim.workload.failures import cause


def load_data(spec: str, root: str | Path | None = None, size: int | None = None) -> Dataset:
    """A data set in three splits, in memory.

    Args:
        spec: ``digits`` or the name of a 2D set of MedMNIST; a folder of images (``./digits`` if
            it is called like a set); the path of an ``.npz`` file with MedMNIST's keys; or
            ``package.module:factory``, which returns a :class:`Dataset`, or what
            :func:`splits_of` takes.
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
        with seeded():
            return dataset_of(call_factory(spec, {}), spec)
    return load_medmnist(spec, root)  # which names the sets there are


def dataset_of(made: Any, name: str) -> Dataset:
    """A data set of images, from what people have at hand.

    Args:
        made: A :class:`Dataset`, or what :func:`splits_of` takes.
        name: For messages and manifests.

    Raises:
        ConfigError: It is something else, or no images.
    """
    if isinstance(made, Dataset):
        return made
    splits = splits_of(made, name)
    parts = [Split(splits[k].images.to(torch.float32), splits[k].labels) for k in SPLITS]
    return Dataset(name, count_classes(parts), *parts)


def splits_of(made: Any, name: str) -> dict[str, Split]:
    """Labelled samples of any shape, by split; those that are not given are empty.

    Args:
        made: A pair (samples, labels) of arrays or tensors; a torch ``Dataset`` or ``DataLoader``
            of such pairs; or a mapping of train, val and test to any of these.
        name: For messages.

    Raises:
        ConfigError: It is something else.
    """
    parts = made if isinstance(made, Mapping) else {"test": made}
    try:
        splits = {key: _split(part) for key, part in parts.items()}
        test = splits["test"]
    except ConfigError:
        raise
    except Exception as error:  # of a data set of the user's own, too
        raise ConfigError(
            f"{name} must {'return' if ':' in name else 'be'} a Dataset, (images, labels), a torch "
            "Dataset or DataLoader of such pairs, or a mapping of train, val and test to them: "
            f"{cause(error)}; all else is a Workload(model, batches, task)"
        ) from None
    empty = Split(test.images[:0], test.labels[:0])
    return {key: splits.get(key, empty) for key in SPLITS}


def _split(made: Any) -> Split:
    if isinstance(made, Split):
        return made
    if isinstance(made, TensorDataset):
        made = made.tensors
    if isinstance(made, (Samples, DataLoader)):
        loader = made if isinstance(made, DataLoader) else DataLoader(made, batch_size=256)
        made = tuple(torch.cat(column) for column in zip(*loader, strict=True))
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        raise TypeError(f"{type(made).__name__} is no pair")
    samples, labels = (torch.as_tensor(part) for part in made)
    if not samples.ndim or not labels.ndim:
        raise TypeError("a number is no row of samples")
    try:
        return Split(samples.detach(), labels_of(labels))
    except ValueError as error:
        raise ConfigError(f"{error}; for a regression give a Workload with its task") from None
