"""Models by name or import path, with a checkpoint that fits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from faultsim.config.importing import call_factory
from faultsim.errors import ConfigError
from faultsim.models.medmamba import VARIANTS, medmamba

SHIPPED = Path(__file__).parent / "checkpoints"


def load_model(
    spec: str,
    *,
    num_classes: int,
    in_channels: int,
    checkpoint: str | Path | None = None,
    data: str | None = None,
) -> nn.Module:
    """A model in eval mode, with trained weights.

    Args:
        spec: ``medmamba-n``, ``-t``, ``-s``, ``-b``, or ``package.module:factory``. A factory gets
            those of ``num_classes`` and ``in_channels`` that it takes, and returns an
            ``nn.Module`` that maps images in [0, 1] to logits.
        num_classes: Number of logits.
        in_channels: Channels of the images.
        checkpoint: A ``.safetensors`` file, or a ``torch.save`` file of tensors only; loaded
            strictly. None: the weights a factory made, or the checkpoint shipped for ``data``.
        data: Name of the data, by which shipped checkpoints are found.

    Raises:
        ConfigError: An unknown name, no checkpoint, or one that does not fit the model.
    """
    model = build(spec, num_classes, in_channels)
    if checkpoint is None and ":" not in spec:
        checkpoint = _shipped(spec, data)
    if checkpoint is not None:
        _load(model, Path(checkpoint))
    return model.eval()


def build(spec: str, num_classes: int, in_channels: int) -> nn.Module:
    """A built-in model with fresh weights, or what a factory made.

    Raises:
        ConfigError: An unknown name, or a factory that fails or makes something else.
    """
    if ":" in spec:
        made = call_factory(spec, {"num_classes": num_classes, "in_channels": in_channels})
        if not isinstance(made, nn.Module):
            raise ConfigError(f"{spec} returned {type(made).__name__}, not an nn.Module")
        return made
    names = [f"medmamba-{variant}" for variant in VARIANTS]
    if spec not in names:
        raise ConfigError(
            f"unknown model {spec!r}: use {', '.join(names)} or package.module:factory"
        )
    return medmamba(spec[-1], num_classes=num_classes, in_channels=in_channels)


def model_digest(model: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and words of all parameters and buffers."""
    digest = hashlib.sha256()
    parameters = model.named_parameters(remove_duplicate=False)
    for name, tensor in chain(parameters, model.named_buffers(remove_duplicate=False)):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        words = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(words.numpy().data)
    return digest.hexdigest()


def _shipped(spec: str, data: str | None) -> Path:
    path = SHIPPED / f"{spec}-{data}.safetensors"
    if not path.exists():
        raise ConfigError(
            f"no checkpoint of {spec} for {data} is shipped: give --checkpoint, "
            "or train one with faultsim train"
        )
    return path


def _load(model: nn.Module, path: Path) -> None:
    state = read_checkpoint(path)
    own = model.state_dict()
    # BatchNorm's batch counter takes no part in inference and is not stored by everyone.
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    wrong = [k for k in own if k in state and state[k].shape != own[k].shape]
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which the model lacks"
        count = len(missing) + len(unknown)
        raise ConfigError(f"{path} does not fit the model: it {what} ({count} such names)")
    if wrong:
        key = wrong[0]
        raise ConfigError(
            f"{path} does not fit the model: {key} is {tuple(state[key].shape)}, "
            f"the model's {tuple(own[key].shape)}"
        )
    model.load_state_dict(state, strict=False)


def read_checkpoint(path: Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a ``.safetensors`` or ``torch.save`` file; no code in it runs.

    Raises:
        ConfigError: The file is missing or holds something else.
    """
    if not path.is_file():
        raise ConfigError(f"no checkpoint at {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(
            f"{path} cannot be read as a checkpoint: {error}".split("\n")[0]
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ConfigError(f"{path} holds no mapping of names to tensors")
    return state
