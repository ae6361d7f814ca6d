"""What a module holds beside its children, to see whether a call changed it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_CONSTANTS = (int, float, str, bool, type(None))

State = list[tuple[str, Any]]


def state_of(module: nn.Module) -> State:
    """Attributes, parameters and buffers of a module itself, and what shows changes in place."""
    attributes = [item for item in vars(module).items() if item[0] != "forward"]
    own = [*module._parameters.items(), *module._buffers.items()]
    inside = [(name, part) for name, value in attributes for part in _parts(value)]
    versions = [(name, _version(value)) for name, value in (*attributes, *own, *inside)]
    return [*attributes, *own, *inside, *versions]


def changed(before: State, after: State) -> bool:
    """Whether a module holds other objects than before, or the same but changed in place."""
    if len(before) != len(after):
        return True
    return not all(map(_same, before, after))


def _same(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    (name, value), (new_name, new) = one, other
    equal = type(value) is type(new) and isinstance(value, _CONSTANTS) and value == new
    return name == new_name and (value is new or equal)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, set)) else []


def _version(value: Any) -> int:
    counted = isinstance(value, torch.Tensor) and not value.is_inference()
    return value._version if counted else 0
