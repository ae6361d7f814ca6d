"""The settings of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faultsim.config.settings import Settings
from faultsim.config.values import Pixels, Seed, Threads, Workers
from faultsim.errors import ConfigError


@dataclass(frozen=True, repr=False)
class StudyConfig(Settings):
    """The whole study of one model over several data sets, part by part."""

    data: tuple[str, ...] = ()
    """Data sets, named as in a campaign; without any, a small version on the embedded digits."""
    settings: str | None = None
    """TOML file of what is done; by default a small version for digits, else the real one."""
    model: str = "medmamba-n"
    """medmamba-n, -t, -s, -b, package.module:factory, or an .onnx file."""
    checkpoint: str | None = None
    """As in a campaign; {data} in it stands for the name of the data set."""
    data_root: str | None = None
    """Folder of MedMNIST's files, where nothing is downloaded; ~/.medmnist unless given."""
    size: Pixels | None = None
    """Side of the images: MedMNIST has 28 (the default), 64, 128, 224; folders are resized."""
    seed: Seed = 0
    """Key of the random streams."""
    threads: Threads = 0
    """Threads of torch; 0 leaves its default."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs."""
    workers: Workers = 1
    """Processes that run the trials of campaigns; as in a campaign."""
    executor: Literal["local", "ray"] = "local"
    """Where workers are; as in a campaign."""
    address: str | None = None
    """Of --executor ray; as in a campaign."""
    out: str | None = None
    """Directory of the study; a new one under runs/ unless given."""
    resume: bool = False
    """Go on with the study in --out."""

    def __post_init__(self) -> None:
        """Refuses values that do not fit, and settings that do not go together.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out, the directory to go on with")
