"""``.npz`` files with MedMNIST's keys: {train,val,test}_{images,labels}, uint8 images."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from faultsim.data.dataset import SPLITS, Dataset, Split, count_classes, split_of
from faultsim.errors import ConfigError


def load_npz(path: Path) -> Dataset:
    """Reads a file of uint8 images, (n, h, w) or (n, h, w, c).

    Labels are (n,) or (n, 1) classes, or (n, classes) of 0 and 1.

    Raises:
        ConfigError: The file is missing, lacks a key, or holds something else.
    """
    if not path.is_file():
        raise ConfigError(f"no data file at {path}")
    keys = [f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels")]
    try:
        with np.load(path, allow_pickle=False) as file:
            lacking = [key for key in keys if key not in file.files]
            if lacking:
                raise ConfigError(
                    f"{path} lacks {lacking[0]}; it needs the keys of a MedMNIST file"
                )
            # One split after the other: the large sets fill the memory as they are.
            splits = [_split(path, file[f"{s}_images"], file[f"{s}_labels"]) for s in SPLITS]
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise ConfigError(f"{path} is not a readable .npz file: {error}") from None
    return Dataset(path.stem, count_classes(splits), *splits)


def _split(path: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Split:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ConfigError(f"{path}: images must be uint8 (n, h, w) or (n, h, w, c)")
    if labels.dtype.kind not in "biu":
        raise ConfigError(f"{path}: labels must be integers, not {labels.dtype}")
    return split_of(images, labels.astype(np.int64))
