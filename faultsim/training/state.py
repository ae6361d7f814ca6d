"""The file from which an interrupted training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from faultsim.config import TrainConfig
from faultsim.data import Dataset
from faultsim.errors import ConfigError
from faultsim.files import replacing
from faultsim.training.recipe import recipe


def identity(model: nn.Module, data: Dataset, config: TrainConfig) -> dict[str, str]:
    """What must be the same when a training goes on, by name."""
    facts = {f"--{key.replace('_', '-')}": value for key, value in recipe(config).items()}
    facts |= {"the digest of the data": data.digest, "the version of torch": torch.__version__}
    for name, tensor in model.state_dict().items():
        facts[f"the shape of {name}"] = tuple(tensor.shape)
    return {name: str(fact) for name, fact in facts.items()}


def write_state(path: Path, identity: dict[str, str], state: dict[str, Any]) -> None:
    """Writes the state whole, or leaves the one before.

    Raises:
        ConfigError: The file cannot be written.
    """
    with replacing(path) as draft:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"identity": identity, "state": state}, draft)


def read_state(path: Path, identity: dict[str, str]) -> dict[str, Any]:
    """The state of a training that was begun as this one; no code in the file runs.

    Raises:
        ConfigError: There is none that can be read, or that of another training.
    """
    if not path.exists():
        raise ConfigError(f"no interrupted training at {path}: leave --resume out to begin one")
    try:
        file = torch.load(path, map_location="cpu", weights_only=True)
        was, state = dict(file["identity"]), dict(file["state"])
    except Exception as error:
        cause = str(error).partition("\n")[0]
        raise ConfigError(f"{path} is not the state of a training: {cause}") from None
    for name in dict.fromkeys([*was, *identity]):
        if was.get(name) != identity.get(name):
            raise ConfigError(
                f"{path} was begun with {name} = {was.get(name)}, now it is {identity.get(name)}; "
                "resume with the same, or delete it"
            )
    return state
