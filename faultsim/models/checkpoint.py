"""Checkpoints: read without running code, and fitted to a model under the names others gave."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from faultsim.errors import ConfigError

State = Mapping[str, torch.Tensor]

WRAPPERS = ("model_state_dict", "state_dict", "model")
"""Under which training scripts keep the weights, beside an epoch or an optimiser."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Loads every weight of a model from a file; what had to be understood for it is a warning.

    Raises:
        ConfigError: The file cannot be read, or does not fit: names, shapes, kinds of numbers.
    """
    own = model.state_dict()
    state = _named_as(own, read_checkpoint(path), path)
    _check_names(own, state, path)
    for name in own:
        if name in state and not is_lazy(own[name]):
            _check_tensor(name, own[name], state[name], path)
    model.load_state_dict(state, strict=False)


def read_checkpoint(path: Path) -> State:
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
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ConfigError(f"{path} holds no mapping of names to tensors")
    return state


def _named_as(own: State, state: State, path: Path) -> State:
    """The state under the model's names, where all of one side have a known prefix more."""
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


def _shortened(state: State) -> list[tuple[str, State]]:
    """The state without one known prefix, without two, and so on."""
    found: list[tuple[str, State]] = []
    taken = ""
    while prefix := next((p for p in PREFIXES if _all_begin(state, p)), ""):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        taken += prefix
        found.append((taken, state))
    return found


def _all_begin(state: State, prefix: str) -> bool:
    return bool(state) and all(str(name).startswith(prefix) for name in state)


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
