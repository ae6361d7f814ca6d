"""A module between a weight and all who read it: what it returns is what they get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from faultsim.errors import ConfigError
from faultsim.protections.inside import Check, is_weight, reading
from faultsim.targets.tensors import packed_weights
from faultsim.targets.words import inner_tensors


def read_through(
    model: nn.Module,
    make: Check,
    pattern: str = "*",
    dtypes: Sequence[torch.dtype] | None = None,
) -> list[str]:
    """Puts a module of its own before every weight; tied weights share one.

    The weight is read through it wherever it is read, as torch's parametrisations are: also by
    modules that own none (attention reads its projection's).

    Args:
        model: Changed in place.
        make: Called with each weight.
        pattern: Of names, as the shell has it; a module's name takes all below it.
        dtypes: Of the weights; None for floating ones and int8 and uint8.

    Returns:
        Names of the weights that are read so.

    Raises:
        ConfigError: One of the name is inside an object of torch.ao, which opens only into copies.
    """
    _check_open(model, pattern)
    made: dict[int, nn.Module] = {}
    found = []
    for name, owner, leaf, tensor in list(_weights(model)):
        if dtypes is not None and (tensor.dtype not in dtypes or inner_tensors(tensor)):
            continue
        if _named(name, pattern):
            # what is stored may be a code word: the next one after it sees what it is read as
            check = made.get(id(tensor)) or reading(getattr(owner, leaf), make)
            if check is None:
                continue
            made[id(tensor)] = check
            parametrize.register_parametrization(owner, leaf, check)
            _read_anew(owner)
            found.append(name)
    return found


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, torch.Tensor]]:
    """Parameters and buffers, floating or of bytes, that lie in memory, and owners.

    One that is read through a module already is read through the next one after it.
    """
    for path, owner in model.named_modules():
        of_others = isinstance(owner, parametrize.ParametrizationList)
        own = hasattr(owner, "struck_integers")  # words of a protection before this one
        if of_others or own or isinstance(owner, torch.jit.ScriptModule):
            continue
        held: dict[str, Any] = {**owner._parameters, **owner._buffers}
        if parametrize.is_parametrized(owner):
            lists: Any = owner.parametrizations
            held |= {leaf: each.original for leaf, each in lists.items()}
        for leaf, tensor in held.items():
            if tensor is not None and (is_weight(tensor) or inner_tensors(tensor)):
                yield f"{path}.{leaf}" if path else leaf, owner, leaf, tensor


def _named(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _check_open(model: nn.Module, pattern: str) -> None:
    for path, packed in packed_weights(model):
        for part in packed.weights():
            name = f"{path}.{part}" if path else part
            if _named(name, pattern):
                raise ConfigError(
                    f"no protection can stand before {name}: torch.ao keeps it packed, and opens "
                    "it only into copies; name others (secded:PATTERN), or quantise with torchao"
                )


def _read_anew(owner: nn.Module) -> None:
    """Recurrent nets keep a list of their weights as they were; it is made anew at each reading."""
    if isinstance(owner, nn.RNNBase):
        kind: Any = type(owner)  # a class of its own, since it is parametrised
        kind._flat_weights = property(_current, lambda self, value: None)


def _current(self: Any) -> list[torch.Tensor]:
    return [getattr(self, name) for name in self._flat_weights_names]


def none_found(name: str, kind: str, pattern: str) -> ConfigError:
    """What to raise where a protection finds none of the weights that it is for."""
    which = "" if pattern == "*" else f" called {pattern}"
    return ConfigError(f"{name} finds no {kind}{which} that it could protect")
