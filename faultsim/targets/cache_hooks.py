"""The caches that a model is given pass by pass, seen and replaced.

What a cache is, the names of the arguments of the model's ``forward`` say (:data:`ARGUMENTS`); of a
model without such names, it is what a pass has returned and the next is given. In it every tensor
counts, be it in tuples, lists, mappings or the attributes of an object (the caches of transformers,
whose layers hold ``keys`` and ``values``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from faultsim.targets import held
from faultsim.targets.given import joined
from faultsim.targets.inputs import Arguments
from faultsim.targets.output_hooks import Visit
from faultsim.targets.passes import PASS, PassHooks, version

ARGUMENTS = (
    "cache",
    "caches",
    "kv_cache",
    "past_key_values",
    "past_key_value",
    "layer_past",
    "past",
    "past_buckets_states",
    "cache_params",
    "mems",
    "state",
    "states",
    "hx",
)
"""Names by which models are given what they kept; the first argument is none of them."""

CACHE = "(cache)"
"""Stands in the names of sites for the cache."""


class CacheHooks(PassHooks):
    """Calls ``visit(site name, tensor)`` for every tensor of the caches that passes are given.

    What ``visit`` returns takes the tensor's place: for all who hold it where it lies in a list, a
    mapping or an object; else in this pass and whenever the same tensor is given again.

    Attributes:
        lent: Whether a cache that the first pass of a run is given is its caller's. It goes back
            as it was then, and the model writes to copies of its tensors.
    """

    def __init__(self, model: nn.Module, visit: Visit) -> None:
        super().__init__(model)
        self._visit, self.lent = visit, False
        self._names = _parameters(model)
        self._first = next((name for name in self._names[1:] if name in ARGUMENTS), None)
        self._before: list[held.Before] = []
        self._returned: list[torch.Tensor] = []
        self._replaced: Any = WeakTensorKeyDictionary()

    def register(self) -> None:
        """Places the hooks."""
        self.enter(())

    def around(self, kind: int, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a method; a pass is given its caches as they are by then."""
        if kind != PASS or self._depth >= kind:
            return super().around(kind, function, args, kwargs)

        def through(*args: Any, **kwargs: Any) -> Any:
            given = self._visited(Arguments(args, kwargs))
            result = function(*given.args, **given.kwargs)
            self._returned = [tensor for _, tensor in held.tensors(result)]
            return result

        return super().around(kind, through, args, kwargs)

    def _visited(self, given: Arguments) -> Arguments:
        caches, done = self._caches(given), dict[Any, torch.Tensor]()

        def leaf(name: str, tensor: torch.Tensor) -> torch.Tensor:
            place = _place(tensor)
            if place not in done:
                done[place] = self._leaf(name, tensor)
            return done[place]

        def argument(key: int | str, item: Any) -> Any:
            if key not in caches:
                return item
            if self.lent and self.steps == 1:
                self._before.append(held.Before(item))
                item = held.replace(item, self._own)
            return held.replace(item, leaf, self._path(self._name(key)))

        args = tuple(argument(at, item) for at, item in enumerate(given.args))
        return Arguments(args, {key: argument(key, item) for key, item in given.kwargs.items()})

    def _caches(self, given: Arguments) -> set[int | str]:
        """Which arguments are caches: by their names, else by where they come from."""
        arguments: list[tuple[int | str, Any]] = [*enumerate(given.args), *given.kwargs.items()]
        found = [
            (key, {_storage(tensor) for _, tensor in held.tensors(item)}) for key, item in arguments
        ]
        named = {key for key, holds in found if holds and self._is_named(self._name(key))}
        known = set(map(_storage, self._returned)) - {0}
        return named or {key for key, holds in found if holds & known}

    def _is_named(self, name: str) -> bool:
        return name in ARGUMENTS and name not in self._names[:1]

    def _name(self, key: int | str) -> str:
        if isinstance(key, str):
            return key
        return self._names[key] if key < len(self._names) else str(key)

    def _path(self, name: str) -> str:
        """What the sites of an argument begin with; one has no name of its own there."""
        alone = self._is_named(name) and (name == self._first or name not in self._names)
        return CACHE if alone else joined(CACHE, name)

    def _own(self, _: str, tensor: torch.Tensor) -> torch.Tensor:
        own = tensor.clone()
        self._replaced[tensor] = own, version(tensor)
        return own

    def _leaf(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        own, then = self._replaced.get(tensor, (tensor, None))
        if own is not tensor and version(tensor) != then:
            own = tensor  # somebody wrote over it
        result = self._visit(name, own)
        if result is not tensor:
            self._replaced[tensor] = result, version(tensor)
        return result

    def new_run(self) -> None:
        """The next batch is run."""
        super().new_run()
        self._forget()

    def _forget(self) -> None:
        while self._before:
            self._before[-1].restore()  # first: an interrupt may come between
            self._before.pop()
        self._replaced.clear()
        self._returned.clear()

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        super().remove()
        self._forget()


def _parameters(model: nn.Module) -> list[str]:
    """The names of the arguments of a model's ``forward`` by position."""
    try:
        known = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [at.name for at in known if at.kind in (at.POSITIONAL_ONLY, at.POSITIONAL_OR_KEYWORD)]


def _storage(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse and such
        return 0


def _place(tensor: torch.Tensor) -> Any:
    """Equal for tensors of the same words."""
    storage = _storage(tensor)
    if not storage:
        return id(tensor)
    return storage, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
