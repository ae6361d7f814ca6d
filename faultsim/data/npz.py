"""``.npz`` files with MedMNIST's keys: {train,val,test}_{images,labels}, uint8 images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from faultsim.data.dataset import SPLITS, Dataset, Split, count_classes, split_of
from faultsim.errors import ConfigError

KINDS = ("images", "labels")
ENCRYPTED = 1  # a flag of a zip file's entry
MOST_TIMES = 1040  # larger than packed; deflate reaches 1,032

Array = npt.NDArray[np.uint8]


def load_npz(path: Path) -> Dataset:
    """Reads a file of uint8 images, (n, h, w) or (n, h, w, c).

    Labels are (n,) or (n, 1) classes, or (n, classes) of 0 and 1.

    Raises:
        ConfigError: The file is missing, lacks a key, or holds something else.
    """
    if not path.is_file():
        raise ConfigError(f"no data file at {path}")
    try:
        with ZipFile(path) as file:
            # One split after the other: the large sets fill the memory as they are.
            splits = [_split(path, *(_array(file, f"{s}_{k}") for k in KINDS)) for s in SPLITS]
        return Dataset(path.stem, count_classes(splits), *splits)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if str(path) in text else f"{path}: {text}") from None
    except Exception as error:  # damaged archives raise whatever their decompressors do
        raise ConfigError(f"{path} is not a readable .npz file: {_told(error)}") from None


def _told(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


def _array(file: ZipFile, key: str) -> Array:
    """One array, of whose header nothing is believed that the archive contradicts."""
    if f"{key}.npy" not in file.namelist():
        raise ConfigError(f"{file.filename} lacks {key}; it needs the keys of a MedMNIST file")
    entry = file.getinfo(f"{key}.npy")
    if entry.flag_bits & ENCRYPTED:
        raise ConfigError(f"{file.filename}: {key} is encrypted")
    with file.open(entry) as member:
        _check_size(member, entry, key)
    with file.open(entry) as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _check_size(member: IO[bytes], entry: ZipInfo, key: str) -> None:
    """Raises ValueError where the header asks for another size than there is."""
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"{key} is an array of format {version}")
    shape, _, dtype = read[version](member)
    wanted = member.tell() + math.prod(shape) * dtype.itemsize
    if wanted != entry.file_size or entry.file_size > MOST_TIMES * (entry.compress_size + 1):
        raise ValueError(f"{key} says it is {shape} of {dtype}, and the file does not hold that")


def _split(path: Path, images: Array, labels: Array) -> Split:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ConfigError(f"{path}: images must be uint8 (n, h, w) or (n, h, w, c)")
    if labels.dtype.kind not in "biu":
        raise ConfigError(f"{path}: labels must be integers, not {labels.dtype}")
    return split_of(images, labels.astype(np.int64))
