"""Data by name, path or import path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from faultsim.config.importing import call_factory
from faultsim.data.dataset import SPLITS, Dataset, Split, count_classes, labels_of
from faultsim.data.digits import load_digits
from faultsim.data.folder import load_folder
from faultsim.data.medmnist import NAMES, load_medmnist, load_medmnist_file
from faultsim.errors import ConfigError


def load_data(spec: str, root: str | Path | None = None, size: int | None = None) -> Dataset:
    """A data set in three splits, in memory.

    Args:
        spec: ``digits`` or the name of a 2D set of MedMNIST; a folder of images (``./digits`` if
            it is called like a set); the path of an ``.npz`` file with MedMNIST's keys; or
            ``package.module:factory``, which returns a :class:`Dataset`, a pair (images, labels),
            or a mapping of split names to such pairs.
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
        return _from_factory(spec, call_factory(spec, {}))
    return load_medmnist(spec, root)  # which names the sets there are


def _from_factory(spec: str, made: Any) -> Dataset:
    if isinstance(made, Dataset):
        return made
    pairs = made if isinstance(made, dict) else {"test": made}
    try:
        splits = {name: _pair(*pairs[name]) for name in pairs}
        test = splits["test"]
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{spec} must return a Dataset, (images, labels), or a mapping of train, val and test "
            f"to such pairs: {error}"
        ) from None
    empty = Split(test.images[:0], test.labels[:0])
    parts = [splits.get(name, empty) for name in SPLITS]
    return Dataset(spec, count_classes(parts), *parts)


def _pair(images: Any, labels: Any) -> Split:
    return Split(torch.as_tensor(images).to(torch.float32), labels_of(labels))
