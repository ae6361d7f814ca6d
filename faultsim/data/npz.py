"""``.npz`` files with MedMNIST's keys: {train,val,test}_{images,labels}, uint8 images."""

from __future__ import annotations

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
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise ConfigError(f"{path} is not a readable .npz file: {error}") from None
    lacking = [key for s in SPLITS for key in (f"{s}_images", f"{s}_labels") if key not in arrays]
    if lacking:
        raise ConfigError(f"{path} lacks {lacking[0]}; it needs the keys of a MedMNIST file")
    splits = [_split(path, arrays[f"{s}_images"], arrays[f"{s}_labels"]) for s in SPLITS]
    return Dataset(path.stem, count_classes(splits), *splits)


def _split(path: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Split:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ConfigError(f"{path}: images must be uint8 (n, h, w) or (n, h, w, c)")
    return split_of(images, labels.astype(np.int64))
