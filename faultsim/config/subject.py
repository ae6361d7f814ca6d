"""A model, its data, and how one is run over the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faultsim.config.settings import Settings
from faultsim.config.values import Count, Pixels, Seed, Threads
from faultsim.errors import ConfigError


@dataclass(frozen=True, repr=False)
class Subject(Settings):
    """A trained model and its data."""

    model: str = "medmamba-n"
    """medmamba-n, -t, -s, -b, package.module:factory, or an .onnx file."""
    checkpoint: str | None = None
    """A .safetensors or torch.save file, or a folder of transformers; else the one shipped."""
    data: str = "digits"
    """digits, a MedMNIST name, an .npz file, an image folder, or package.module:factory."""
    data_root: str | None = None
    """Folder of MedMNIST's files, where nothing is downloaded; ~/.medmnist unless given."""
    size: Pixels | None = None
    """Side of the images: MedMNIST has 28 (the default), 64, 128, 224; folders are resized."""


@dataclass(frozen=True, repr=False)
class AnySubject(Subject):
    """The same, or a workload of any kind."""

    workload: str | None = None
    """package.module:factory of a faultsim.Workload, instead of --model and --data."""

    def __post_init__(self) -> None:
        """Refuses values that do not fit, and settings that do not go together.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        for name in ("model", "data"):
            if self.workload is not None and getattr(self, name) != getattr(Subject, name):
                raise ConfigError(f"--workload has its own {name}: leave --{name} out")


@dataclass(frozen=True, repr=False)
class Evaluation(Subject):
    """How a model is run over its data."""

    seed: Seed = 0
    """Key of the random streams."""
    threads: Threads = 0
    """Threads of torch; 0 leaves its default."""
    batch_size: Count = 128
    """Images in a forward pass."""
    limit: Count | None = None
    """Use only the first images of each split."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs."""
