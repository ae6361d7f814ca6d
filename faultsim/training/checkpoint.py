"""The checkpoint of a training: weights, recipe and results in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from faultsim.config import TrainConfig
from faultsim.data.evaluation import Figures
from faultsim.errors import ConfigError
from faultsim.files import replacing
from faultsim.stats import Estimate
from faultsim.training.recipe import recipe


def save_checkpoint(
    model: nn.Module, path: Path, config: TrainConfig, results: Mapping[str, Figures]
) -> None:
    """Writes the weights, with recipe, results and torch's version as metadata.

    Args:
        model: Its parameters and buffers are written.
        path: Ends in ``.safetensors``.
        config: The recipe.
        results: By split.

    Raises:
        ConfigError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    metadata = {"recipe": json.dumps(recipe(config)), "torch": torch.__version__}
    metadata["results"] = json.dumps(results, default=Estimate.to_json)
    tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
    try:
        with replacing(path) as draft:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, draft, metadata)
    except SafetensorError as error:
        raise ConfigError(f"cannot write {path}: {error}") from None
