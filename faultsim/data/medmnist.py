"""MedMNIST's 2D sets by name and size, from files that are there or through the medmnist package.

Source: Yang et al., "MedMNIST v2", Scientific Data, 2023; the files are Zenodo record 10519652.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faultsim.data.dataset import Dataset
from faultsim.data.npz import load_npz
from faultsim.errors import ConfigError, did_you_mean

NAMES = (
    "bloodmnist", "breastmnist", "chestmnist", "dermamnist", "octmnist", "organamnist",
    "organcmnist", "organsmnist", "pathmnist", "pneumoniamnist", "retinamnist", "tissuemnist",
)  # fmt: skip
SIZES = (28, 64, 128, 224)
# The labels of a file show every task but this one, and the package does not say which class of a
# binary set is the disease: 0 is malignant here, and 1 pneumonia in the other.
ORDINAL = ("retinamnist",)
POSITIVE = {"breastmnist": 0}


def load_medmnist(name: str, root: str | Path | None = None, size: int | None = None) -> Dataset:
    """A 2D set by its name.

    Args:
        name: One of :data:`NAMES`.
        root: Folder of the files, where nothing is downloaded; ``~/.medmnist``, where a missing
            file is, unless given.
        size: Side of the images in pixels, one of :data:`SIZES`; 28 unless given.

    Raises:
        ConfigError: No such set, size or file, or a download that failed.
    """
    if name not in NAMES:
        raise ConfigError(
            f"no data called {name!r}{did_you_mean(name, ('digits', *NAMES))}; use digits, a path, "
            f"package.module:factory, or a 2D set of MedMNIST ({', '.join(NAMES)})"
        )
    if size not in (None, *SIZES):
        raise ConfigError(f"--size of {name} must be 28, 64, 128 or 224, not {size}")
    folder = Path.home() / ".medmnist" if root is None else Path(root)
    suffix = "" if size in (None, 28) else f"_{size}"
    path = folder / f"{name}{suffix}.npz"
    if not path.is_file():
        _obtain(path, name, suffix, download=root is None)
    return load_medmnist_file(path)


def load_medmnist_file(path: Path) -> Dataset:
    """An ``.npz`` file; what MedMNIST says of the set goes with one under its name.

    Raises:
        ConfigError: See :func:`faultsim.data.npz.load_npz`.
    """
    data = load_npz(path)
    name = set_of(path.stem)
    if name is None:
        return data
    names = tuple(_info(name).get("label", {}).values())
    return replace(
        data,
        task="ordinal-regression" if name in ORDINAL else data.task,
        classes=names if len(names) == data.num_classes else data.classes,
        positive=POSITIVE.get(name, data.positive),
    )


def set_of(stem: str) -> str | None:
    """The set whose file has that name without its ending, at any size; None for other files."""
    name, _, size = stem.partition("_")
    return name if name in NAMES and size in ("", *map(str, SIZES)) else None


def _info(name: str) -> Mapping[str, Any]:
    """What the medmnist package says of a set; nothing without the package."""
    try:
        with redirect_stdout(StringIO()):  # it prints where a package it draws with is missing
            from medmnist.info import INFO
    except ImportError:
        return {}
    info: Mapping[str, Any] = INFO[name]
    return info


def _obtain(path: Path, name: str, suffix: str, *, download: bool) -> None:
    """Downloads a file, or says how to get it."""
    info = _info(name)
    md5 = info.get(f"MD5{suffix}")
    by_hand = f"put {path.name} of Zenodo record 10519652{f' (MD5 {md5})' if md5 else ''} there"
    if not download:
        raise ConfigError(f"{path} does not exist: {by_hand}, or leave --data-root out")
    try:
        if not info:
            raise ImportError("medmnist")
        _download(path, info[f"url{suffix}"], info[f"MD5{suffix}"])
    except ImportError:
        raise ConfigError(
            f"{path} does not exist: pip install 'faultsim[medmnist]' to have it downloaded (it "
            f"brings torchvision, which pins torch), or {by_hand}"
        ) from None
    except Exception as error:
        cause = str(error).partition("\n")[0]
        raise ConfigError(f"cannot download {path.name}: {cause}; {by_hand}") from None


def _download(path: Path, url: str, md5: str) -> None:
    """What the package's own download does, except that it would hide its cause and Ctrl-C."""
    from torchvision.datasets.utils import download_url

    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as scratch:  # so that no half of a file stays
        download_url(url, root=scratch, filename=path.name, md5=md5)
        os.replace(Path(scratch) / path.name, path)
