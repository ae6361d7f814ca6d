"""Every word that a model keeps, read without the tool: an oracle of what injection gives back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


def words_of(model: nn.Module) -> dict[str, str]:
    """A digest of each parameter, buffer and packed weight, by name.

    Buffers that are not saved count too, and tensors that modules keep as plain attributes.
    """
    held = {**model.state_dict(), **dict(model.named_buffers())}
    for path, module in model.named_modules():
        plain = {key: value for key, value in vars(module).items() if torch.is_tensor(value)}
        held |= {f"{path}.{key}": value for key, value in plain.items()}
    return {f"{name}{at}": digest(t) for name, value in held.items() for at, t in leaves(value)}


def digest(tensor: torch.Tensor) -> str:
    """SHA-256 of the bytes of a plain tensor."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy()).hexdigest()


def leaves(value: Any, at: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The plain tensors inside a value of a state: subclasses, quantised and packed ones opened."""
    if isinstance(value, torch.ScriptObject):
        yield from leaves(value.__getstate__(), at)
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            yield from leaves(item, f"{at}[{number}]")
    elif isinstance(value, torch.Tensor) and hasattr(value, "__tensor_flatten__"):
        for name in value.__tensor_flatten__()[0]:
            yield from leaves(getattr(value, name), f"{at}:{name}")
    elif isinstance(value, torch.Tensor) and value.is_quantized:
        yield at, value.int_repr()
        for name, step in zip((":scale", ":zero_point"), steps_of(value), strict=True):
            yield f"{at}{name}", step
    elif isinstance(value, torch.Tensor):
        yield at, value


def steps_of(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and zero points of a quantised tensor."""
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return torch.tensor(tensor.q_scale()), torch.tensor(tensor.q_zero_point())
    return tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
