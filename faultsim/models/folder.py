"""Folders of weights, as transformers and its like save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch

from faultsim.errors import ConfigError
from faultsim.files import read_json

STORED = ("model.safetensors", "pytorch_model.bin")
"""The file of the weights; in parts, ``.index.json`` names the files."""


class Index(msgspec.Struct):
    """Which file of a folder has which tensor."""

    weight_map: dict[str, str]


def files_in(path: Path) -> list[Path]:
    """The files that hold the weights of a folder.

    Raises:
        ConfigError: There are none.
    """
    for name in STORED:
        index = path / f"{name}.index.json"
        if (path / name).is_file():
            return [path / name]
        if index.is_file():
            named = read_json(index, Index, ConfigError).weight_map.values()
            return [path / Path(file).name for file in sorted(set(named))]
    raise ConfigError(f"{path} holds neither {' nor '.join(STORED)}")


def read_pretrained(model: Any, path: Path) -> dict[str, torch.Tensor]:
    """The weights of a folder for a model of transformers, which names them otherwise in files.

    Raises:
        ConfigError: They do not fit, or some are missing, which would be left as they were drawn.
    """
    files_in(path)
    try:
        found, info = type(model).from_pretrained(
            path, config=model.config, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        said = str(error).partition("\n")[0]
        raise ConfigError(f"{path} cannot be read as a checkpoint: {said}") from None
    for what, names in info.items():
        if names and what in ("missing_keys", "mismatched_keys", "unexpected_keys"):
            kind, first = what.removesuffix("_keys"), sorted(map(str, names))[0]
            raise ConfigError(
                f"{path} does not fit the model: {first} is {kind} ({len(names)} such names)"
            )
    return dict(found.state_dict())
