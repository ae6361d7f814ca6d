"""A model, its data, and how one is run over the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faultsim.errors import ConfigError

# Field docstrings are the command line's help texts.


@dataclass(frozen=True)
class Subject:
    """A trained model and its data."""

    model: str = "medmamba-n"
    """medmamba-n, -t, -s, -b, or package.module:factory."""
    checkpoint: str | None = None
    """A .safetensors or torch.save file; without it the one shipped for the data."""
    data: str = "digits"
    """digits, a MedMNIST name, an .npz file, an image folder, or package.module:factory."""
    data_root: str | None = None
    """Folder of MedMNIST's files, where nothing is downloaded; ~/.medmnist unless given."""
    size: int | None = None
    """Side of the images: MedMNIST has 28 (the default), 64, 128, 224; folders are resized."""


@dataclass(frozen=True)
class Evaluation(Subject):
    """How a model is run over its data."""

    seed: int = 0
    """Key of the random streams."""
    threads: int = 0
    """Threads of torch; 0 leaves its default."""
    batch_size: int = 128
    """Images in a forward pass."""
    limit: int | None = None
    """Use only the first images of each split."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs."""

    def __post_init__(self) -> None:
        """Refuses settings that no model could make sense of.

        Raises:
            ConfigError: One line that names the setting.
        """
        for name, value in {"batch-size": self.batch_size, "limit": self.limit}.items():
            if value is not None and value < 1:
                raise ConfigError(f"--{name} must be at least 1, not {value}")
        check_seed_and_threads(self.seed, self.threads)


def check_seed_and_threads(seed: int, threads: int) -> None:
    """Raises ConfigError for what is no seed, or no number of threads."""
    if not 0 <= seed < 1 << 64:
        raise ConfigError(f"--seed must lie between 0 and 2^64 - 1, not {seed}")
    if threads < 0:
        raise ConfigError(f"--threads must not be negative, not {threads}")
