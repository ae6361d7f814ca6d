"""Data by name, path or import path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from faultsim.data.dataset import SPLITS, Dataset, Split, count_classes, labels_of
from faultsim.data.digits import load_digits
from faultsim.data.npz import load_npz
from faultsim.errors import ConfigError
from faultsim.importing import call_factory

MEDMNIST = Path.home() / ".medmnist"


def load_data(spec: str, root: str | Path | None = None) -> Dataset:
    """A data set in three splits, in memory.

    Args:
        spec: ``digits``; the path of an ``.npz`` file with MedMNIST's keys; the name of such a
            file in ``root`` without its ending (``pneumoniamnist``); or
            ``package.module:factory``, which returns a :class:`Dataset`, a pair (images, labels),
            or a mapping of split names to such pairs.
        root: Folder of the files; MedMNIST's own, ``~/.medmnist``, unless given.

    Raises:
        ConfigError: Nothing there, or it cannot be read as images and labels.
    """
    if spec == "digits":
        return load_digits()
    if ":" in spec:
        return _from_factory(spec, call_factory(spec, {}))
    if spec.endswith(".npz") or "/" in spec:
        return load_npz(Path(spec))
    folder = Path(root) if root is not None else MEDMNIST
    path = folder / f"{spec}.npz"
    if not path.is_file():
        raise ConfigError(
            f"no data called {spec!r}: {path} does not exist; give --data-root, the path of an "
            ".npz file, digits, or package.module:factory"
        )
    return load_npz(path)


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
