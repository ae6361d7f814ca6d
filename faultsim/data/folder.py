"""Image folders: a folder for each class, in a folder for each split or all in one."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faultsim.data.dataset import SPLITS, Dataset, Split, split_of
from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
GREY, COLOUR = ("1", "L", "LA"), ("P", "RGB", "RGBA", "CMYK", "YCbCr")
MOST_PIXELS = 1 << 26  # of an image as it lies in its file: 8192 × 8192

Labelled = list[tuple[Path, int]]


def load_folder(folder: Path, size: int | None = None) -> Dataset:
    """Reads ``folder/split/class/*.png``, or ``folder/class/*.png``, which is then all test.

    Classes are numbered in the order of their names; of two, the second is the positive one.
    Images are grey if all of them are, else RGB.

    Args:
        folder: With sub-folders; ``valid`` and ``validation`` are ``val``.
        size: Side in pixels to which images are resized (bilinear); without it all of them must
            have one size.

    Raises:
        ConfigError: No images, an unreadable one, several sizes, or Pillow is missing.
    """
    if size is not None and size < 1:
        raise ConfigError(f"--size must be at least 1, not {size}")
    splits = _split_folders(folder)
    classes = sorted({c.name for split in splits.values() for c in _folders(split)})
    files = {
        name: [(path, label) for label, c in enumerate(classes) for path in _images(split / c)]
        for name, split in splits.items()
    }
    if not files["test"]:
        raise ConfigError(f"{folder} has no test images: it needs folders of classes, with images")
    mode, side = _common_form([path for group in files.values() for path, _ in group], size)
    parts = [_split(files.get(name, []), mode, side) for name in SPLITS]
    name = f"{folder.resolve().name} (folder)"  # never that of a set with a shipped checkpoint
    return Dataset(name, len(classes), *parts, classes=tuple(classes))


def _folders(folder: Path) -> list[Path]:
    try:
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError as error:
        raise _unreadable(error) from None
    return [path for path in inside if not path.name.startswith(".")]


def _unreadable(error: OSError) -> ConfigError:
    return ConfigError(f"cannot read the folder {error.filename}: {error.strerror}")


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folder of each split that there is; the whole is test if there is none."""
    found: dict[str, Path] = {}
    for path in _folders(folder):
        for split, names in SPLIT_FOLDERS.items():
            if path.name.lower() in names and split in found:
                raise ConfigError(f"{found[split]} and {path} are both the {split} split")
            if path.name.lower() in names:
                found[split] = path
    if found and "test" not in found:
        raise ConfigError(f"{folder} has {', '.join(found)} but no test folder")
    return found or {"test": folder}


def _images(folder: Path) -> list[Path]:
    """The images below a folder, which one of the splits may lack."""
    try:
        if not folder.is_dir():
            return []
        inside = os.walk(folder, onerror=_refuse)
        names = (Path(root, name) for root, _, files in inside for name in files)
        found = (path for path in names if path.suffix.lower() in ENDINGS)
        return sorted(path for path in found if path.name[0] != "." and path.is_file())
    except OSError as error:
        raise _unreadable(error) from None


def _refuse(error: OSError) -> None:
    raise error  # os.walk would pass over a folder that cannot be read


def _open(path: Path) -> Image:
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError("image folders need Pillow: pip install 'faultsim[images]'") from None
    try:
        with warnings.catch_warnings():  # of many pixels, of which we say more below
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except Exception as error:  # damaged files raise whatever their decoders do
        raise ConfigError(f"{path} is not a readable image: {_told(error)}") from None
    if image.width * image.height > MOST_PIXELS:
        raise ConfigError(
            f"{path} says it is {image.width}×{image.height}; images must have at most "
            f"{MOST_PIXELS:,} pixels"
        )
    if image.mode not in GREY + COLOUR:
        raise ConfigError(f"{path} has pixels of mode {image.mode}; images must have 8 bits")
    return image


def _told(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


def _common_form(paths: list[Path], size: int | None) -> tuple[str, tuple[int, int]]:
    """Mode, and width and height, that all images take; from their headers alone."""
    sizes: dict[tuple[int, int], Path] = {}
    modes = set()
    for path in paths:
        with _open(path) as image:
            sizes.setdefault(image.size, path)
            modes.add(image.mode)
    if size is None and len(sizes) > 1:
        (one, a), (other, b) = list(sizes.items())[:2]
        raise ConfigError(
            f"{a} is {one[0]}×{one[1]}, {b} is {other[0]}×{other[1]}: give --size to resize them"
        )
    return "L" if modes <= set(GREY) else "RGB", next(iter(sizes)) if size is None else (size, size)


def _split(files: Labelled, mode: str, side: tuple[int, int]) -> Split:
    planes = () if mode == "L" else (3,)
    try:
        pixels = np.empty((len(files), side[1], side[0], *planes), np.uint8)
    except MemoryError:
        raise ConfigError(
            f"{len(files)} images of {side[0]}×{side[1]} do not fit the memory"
        ) from None
    for row, (path, _) in enumerate(files):
        pixels[row] = _pixels(path, mode, side)
    return split_of(pixels, [label for _, label in files])


def _pixels(path: Path, mode: str, side: tuple[int, int]) -> npt.NDArray[np.uint8]:
    from PIL.Image import Resampling

    with _open(path) as image:
        try:
            whole = image.convert(mode)
        except Exception as error:  # a file cut short shows only here
            raise ConfigError(f"{path} is not a readable image: {_told(error)}") from None
    return np.asarray(whole if whole.size == side else whole.resize(side, Resampling.BILINEAR))
