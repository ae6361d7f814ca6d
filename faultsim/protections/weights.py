"""A module between a weight and all who read it: what it returns is what they get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from faultsim.protections.memory import why_not_dense

Check = Callable[[torch.Tensor], nn.Module]
"""A tensor to the module that reads it from then on: of the same tensor it makes what is used."""


def read_through(model: nn.Module, make: Check, pattern: str = "*") -> list[str]:
    """Puts a module of its own before every weight; tied weights share one.

    The weight is read through it wherever it is read, as torch's parametrisations are: also by
    modules that own none (attention reads its projection's).

    Args:
        model: Changed in place.
        make: Called with each weight.
        pattern: Of names, as the shell has it; a module's name takes all below it.

    Returns:
        Names of the weights that are read so.
    """
    made: dict[int, nn.Module] = {}
    found = []
    for name, owner, leaf in list(_weights(model)):
        if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*"):
            tensor = getattr(owner, leaf)
            check = made.get(id(tensor)) or make(tensor)
            made[id(tensor)] = check
            parametrize.register_parametrization(owner, leaf, check)
            _read_anew(owner)
            found.append(name)
    return found


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Parameters and floating buffers that lie in memory as they are, with their owners."""
    for path, owner in model.named_modules():
        if isinstance(owner, torch.jit.ScriptModule):
            continue
        of_parametrised = isinstance(owner, parametrize.ParametrizationList)
        for leaf, tensor in (*owner._parameters.items(), *owner._buffers.items()):
            if tensor is None or of_parametrised or not tensor.is_floating_point():
                continue
            if not why_not_dense(tensor):
                yield f"{path}.{leaf}" if path else leaf, owner, leaf


def _read_anew(owner: nn.Module) -> None:
    """Recurrent nets keep a list of their weights as they were; it is made anew at each reading."""
    if isinstance(owner, nn.RNNBase):
        kind: Any = type(owner)  # a class of its own, since it is parametrised
        kind._flat_weights = property(_current, lambda self, value: None)


def _current(self: Any) -> list[torch.Tensor]:
    return [getattr(self, name) for name in self._flat_weights_names]
