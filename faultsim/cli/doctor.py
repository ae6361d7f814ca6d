"""``faultsim doctor``: what is installed here, and what is missing for what."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim import __version__
from faultsim.cli.commands import Doctor as Command
from faultsim.errors import FaultSimError

WITH = ("torch", "numpy", "scipy", "scikit-learn", "torchvision", "transformers", "timm")


class Feature(NamedTuple):
    """What an extra of the package is for.

    Attributes:
        extra: In ``pip install 'faultsim[extra]'``.
        modules: That it needs.
        what: It makes possible.
    """

    extra: str
    modules: tuple[str, ...]
    what: str


FEATURES = (
    Feature("medmnist", ("medmnist",), "download MedMNIST, name its classes"),
    Feature("images", ("PIL",), "read folders of images"),
    Feature(
        "tasks", ("torchmetrics", "pycocotools"), "mAP, mIoU and Dice of detectors, segmenters"
    ),
    Feature("onnx", ("onnx", "onnx2torch"), "--model file.onnx"),
    Feature("numba", ("numba",), "operators of your own"),
    Feature("export", ("pandas", "pyarrow"), "data frames of trials, Parquet"),
    Feature("ray", ("ray",), "workers in a Ray cluster"),
    Feature("mamba", ("mamba_ssm",), "mamba-ssm's scan on CUDA"),
)


def run(_: Command) -> int:
    """Prints versions, the native module and what each extra would add.

    Returns:
        0; 1 where faultsim cannot work here.
    """
    console = Console()
    works, lines = native_lines()
    for line in (*version_lines(), *lines, *machine_lines()):
        console.print(escape(line), soft_wrap=True)
    console.print(features())
    return 0 if works else 1


def version_lines() -> list[str]:
    """Of faultsim, Python and packages that are there."""
    found = [f"{name} {known}" for name in WITH if (known := installed(name))]
    return [f"faultsim {__version__}, Python {platform.python_version()}", ", ".join(found)]


def installed(name: str) -> str | None:
    """The version of a distribution; None where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def native_lines() -> tuple[bool, list[str]]:
    """Whether the native module works, and what it was compiled for."""
    try:
        from faultsim.ops._native import native

        module = native()
        struck = flips_and_restores()
    except FaultSimError as error:
        return False, [f"native module: {error}"]
    cuda = "with CUDA" if module.with_cuda else "without CUDA"
    end = "flips and restores a word" if struck else "does not restore a word: report this"
    return struck, [f"native module: ABI {module.abi}, {module.isa}, {cuda}; {end}"]


def flips_and_restores() -> bool:
    """Whether a flipped word is the one it should be, and itself again after."""
    import torch

    from faultsim import ops

    word = torch.ones(3)
    saved = ops.flip_(word, [1], 1 << 31)
    flipped = word.tolist() == [1, -1, 1]
    ops.restore_(word, [1], saved)
    return flipped and word.tolist() == [1, 1, 1]


def machine_lines() -> list[str]:
    """Cores, threads and devices."""
    import torch

    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch"
    if not torch.cuda.is_available():
        return [f"{cores}; torch finds no CUDA device"]
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return [f"{cores}; {', '.join(names)}"]


def features() -> Table:
    """What each extra makes possible, and how to have it where it is missing."""
    table = Table()
    for heading in ("for", "needs", "here"):
        table.add_column(heading, overflow="fold")
    for feature in FEATURES:
        missing = [name for name in feature.modules if find_spec(name) is None]
        remedy = f"pip install 'faultsim[{feature.extra}]'" if missing else "yes"
        table.add_row(feature.what, ", ".join(feature.modules), escape(remedy))
    return table
