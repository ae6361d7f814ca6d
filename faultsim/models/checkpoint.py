"""Checkpoints: read without running code, and fitted to a model under the names others gave."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from faultsim.errors import ConfigError
from faultsim.models.folder import files_in, read_pretrained

State = Mapping[str, torch.Tensor]

WRAPPERS = ("model_state_dict", "state_dict", "model_state", "model", "network", "net", "weights")
"""Under which training scripts keep the weights, beside an epoch or an optimiser."""

AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "params_ema")
"""The same for their running averages, which serve where the weights themselves are not stored."""

DEEPEST = 3
"""So many mappings one inside the other are opened."""

COUNTERS = ("n_averaged",)
"""What torch's AveragedModel keeps beside the model."""


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Loads every weight of a model from a file; what had to be understood for it is a warning.

    Raises:
        ConfigError: The file cannot be read, or does not fit: names, shapes, kinds of numbers.
    """
    own = model.state_dict()
    pretrained = path.is_dir() and hasattr(model, "from_pretrained")
    state = read_pretrained(model, path) if pretrained else read_checkpoint(path)
    state = _named_as(own, state, path)
    _check_names(own, state, path)
    for name in own:
        if name in state and not is_lazy(own[name]):
            _check_tensor(name, own[name], state[name], path)
    model.load_state_dict(state, strict=False)


def read_checkpoint(path: Path) -> State:
    """The tensors of a ``.safetensors`` or ``torch.save`` file; no code in it runs.

    Args:
        path: The file, or a folder as transformers and its like save one.

    Raises:
        ConfigError: The file is missing or holds something else.
    """
    if path.is_dir():
        parts = [read_checkpoint(file) for file in files_in(path)]
        return {name: tensor for part in parts for name, tensor in part.items()}
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
    state = _unwrapped(state, path) if isinstance(state, dict) else None
    if state is None or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ConfigError(f"{path} holds no mapping of names to tensors")
    return state


def _unwrapped(state: dict[Any, Any], path: Path) -> dict[Any, Any]:
    """What is inside the mappings that training scripts put around the weights."""
    for _ in range(DEEPEST):
        held = [k for k in (*WRAPPERS, *AVERAGES) if isinstance(state.get(k), dict)]
        if not held:
            break
        if held[0] in AVERAGES:
            _say(path, f"the weights are those of {held[0]}")
        elif held[-1] in AVERAGES:
            _say(path, f"the weights are those of {held[0]}, not the average in {held[-1]}")
        state = state[held[0]]
    return state


def _named_as(own: State, state: State, path: Path) -> State:
    """The state under the model's names, where all of one side have the same prefix more."""
    if set(own) & set(state):
        return state
    for prefix, short in _shortened(state):
        if set(own) & set(short):
            _say(path, f"its names are the model's after {prefix!r}")
            return short
    for prefix, short in _shortened(own):
        if set(state) & set(short):
            _say(path, f"the model's names are its own after {prefix!r}")
            return {prefix + name: tensor for name, tensor in state.items()}
    return state


def _shortened(state: State) -> Iterator[tuple[str, State]]:
    """The state without the first part that all its names share, without two, and so on.

    Such parts are ``module.`` of DataParallel, ``_orig_mod.`` of torch.compile, ``model.`` or
    whatever a LightningModule calls the network.
    """
    state = {name: tensor for name, tensor in state.items() if name not in COUNTERS}
    taken = ""
    while (prefix := _shared_part(state)) is not None:
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        taken += prefix
        yield taken, state


def _shared_part(names: Iterable[Any]) -> str | None:
    parts = {str(name).partition(".")[:2] for name in names}
    return "".join(*parts) if len(parts) == 1 and "." in next(iter(parts)) else None


def _say(path: Path, what: str) -> None:
    warnings.warn(f"{path}: {what}", stacklevel=2)


def _check_names(own: State, state: State, path: Path) -> None:
    # BatchNorm's batch counter takes no part in inference and is not stored by everyone.
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which the model lacks"
        count = len(missing) + len(unknown)
        raise ConfigError(f"{path} does not fit the model: it {what} ({count} such names)")


def _check_tensor(name: str, own: torch.Tensor, given: torch.Tensor, path: Path) -> None:
    """Raises ConfigError where a tensor is of another shape, layout or kind of number."""
    if given.is_meta:
        raise ConfigError(f"{path} does not fit the model: {name} has no values, only a shape")
    for what, mine, its in (
        ("", tuple(own.shape), tuple(given.shape)),
        ("", _plain(own.layout), _plain(given.layout)),
        ("of ", _kind(own), _kind(given)),
    ):
        if mine != its:
            raise ConfigError(
                f"{path} does not fit the model: {name} is {what}{its}, the model's {what}{mine}"
            )
    exact = own.dtype == given.dtype or own.is_meta or own.layout != torch.strided
    if not exact and not torch.equal(_bits(given.to(own.dtype).to(given.dtype)), _bits(given)):
        if not own.is_floating_point():
            raise ConfigError(
                f"{path} does not fit the model: {name} has numbers that are no {_plain(own.dtype)}"
            )
        _say(path, f"{name} is rounded from {_plain(given.dtype)} to {_plain(own.dtype)}")


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _plain(value: object) -> str:
    return str(value).removeprefix("torch.")


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_quantized or tensor.dtype == torch.bool:
        return f"dtype {_plain(tensor.dtype)}"
    if tensor.is_complex():
        return "complex numbers"
    return "floating-point numbers" if tensor.is_floating_point() else "integers"
