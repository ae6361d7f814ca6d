"""``.npz`` files with MedMNIST's keys: {train,val,test}_{images,labels}, uint8 images."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch

from faultsim.data.dataset import SPLITS, Dataset, Split
from faultsim.errors import ConfigError


def load_npz(path: Path) -> Dataset:
    """Reads a file of uint8 images, (n, h, w) or (n, h, w, 3), with (n,) or (n, 1) labels.

    Raises:
        ConfigError: The file is missing, lacks a key, or has multi-label targets.
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
    classes = 1 + max(int(split.labels.max()) for split in splits if len(split))
    return Dataset(path.stem, classes, *splits)


def _split(path: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Split:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ConfigError(f"{path}: images must be uint8 (n, h, w) or (n, h, w, c)")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ConfigError(f"{path} has multi-label targets, which campaigns do not evaluate")
    planes = torch.from_numpy(images if images.ndim == 4 else images[..., None])
    channels_first = planes.permute(0, 3, 1, 2).contiguous().to(torch.float32) / 255
    return Split(channels_first, torch.from_numpy(labels.reshape(-1).astype(np.int64)))
