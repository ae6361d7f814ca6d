"""A module around a layer: what it returns is what the model gets of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from faultsim.errors import ConfigError, did_you_mean
from faultsim.protections.alarms import Guard

Choice = Callable[[nn.Module], bool]


class Around(Guard):
    """A layer and what stands around it; attributes that it lacks are those of the layer.

    Attributes:
        inner: The layer. A fault in what it returns strikes before the protection sees it.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)


def layers_of(model: nn.Module, pattern: str | None, usual: Choice, name: str) -> dict[str, Any]:
    """The layers to protect, by name.

    Args:
        model: Whose.
        pattern: Of names, as the shell has it; None for the usual ones.
        usual: Says of a module whether it is one.
        name: Of the protection, for the message.

    Raises:
        ConfigError: There are none.
    """

    def wanted(path: str, module: nn.Module) -> bool:
        if isinstance(module, torch.jit.ScriptModule):
            return False
        return usual(innermost(module)) if pattern is None else fnmatchcase(path, pattern)

    named = [(path, module) for path, module in model.named_modules() if path]
    inside = {id(m) for _, a in named if isinstance(a, Around) for m in a.inner.modules()}
    found = {p: m for p, m in named if id(m) not in inside and wanted(p, m)}
    if not found:
        like = did_you_mean(pattern, (path for path, _ in named))
        which = f"called {pattern}{like}" if pattern else "of the kind that it protects"
        raise ConfigError(f"{name} finds no layer {which}")
    return found


def innermost(module: nn.Module) -> nn.Module:
    """The layer itself, whatever stands around it."""
    while isinstance(module, Around):
        module = module.inner
    return module


def is_leaf(module: nn.Module) -> bool:
    """Whether there is no module in it."""
    return next(module.children(), None) is None


def put_around(model: nn.Module, made: dict[int, nn.Module]) -> None:
    """Replaces modules wherever they are held.

    Args:
        model: Changed in place.
        made: By identity of a module, what stands in its place.
    """
    for parent, name, child in list(_held(model)):
        if id(child) in made and parent is not made[id(child)]:
            parent._modules[name] = made[id(child)]


def _held(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None:
                yield parent, name, child
