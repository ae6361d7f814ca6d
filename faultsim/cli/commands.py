"""The sub-commands and their flags, as dataclasses; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from faultsim.config import CampaignConfig, TrainConfig


@dataclass(frozen=True)
class Campaign(CampaignConfig):
    """Strike a model with faults, trial by trial, and record what becomes of its predictions."""

    config: str | None = None
    """A TOML file with any of these settings; flags win over it."""


@dataclass(frozen=True)
class Inspect:
    """List the tensors faults can strike: their dtypes, bits and share of the fault space."""

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
    target: Literal["weights", "activations", "states"] = "weights"
    """Parameters and buffers, the outputs of modules, or the hidden states of scans."""
    bits: str = "all"
    """Bits that may be struck: sign, exponent, mantissa, all, a bit (30) or a range (23-30)."""
    include: tuple[str, ...] = ()
    """Name patterns of the tensors to list."""
    exclude: tuple[str, ...] = ()
    """Name patterns of tensors to leave out."""


@dataclass(frozen=True)
class Train(TrainConfig):
    """Train a model and save its checkpoint with the recipe in its metadata."""


@dataclass(frozen=True)
class Reproduce:
    """Run one recorded trial again and say whether its outcome is the same."""

    directory: Positional[str]
    """The campaign directory."""
    trial: int
    """Number of the trial, from 0."""


@dataclass(frozen=True)
class Report:
    """Write a page of results, and figures for a paper, from recorded campaigns."""

    directories: Positional[tuple[str, ...]]
    """Campaign directories, or folders that hold some at any depth."""
    out: str | None = None
    """The page; report.html in the first directory unless given."""
    figures: str | None = None
    """A folder to write each figure to, and its data as CSV."""
    format: tuple[Literal["pdf", "svg", "png"], ...] = ()
    """Of the files in --figures, one or several; pdf unless given."""


Command = Campaign | Inspect | Train | Reproduce | Report
