"""Faults in what a model keeps from one forward pass of a run for the next: its key-value cache.

An upset in memory: the word is struck where it lies, between two passes, so that all later ones
read it struck. What a cache is, the names of the arguments of the model's ``forward`` say
(:data:`ARGUMENTS`); in it every tensor counts, be it in tuples, lists, mappings or the attributes
of an object (the caches of transformers, whose layers hold ``keys`` and ``values``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from faultsim import trees
from faultsim.errors import InjectionError
from faultsim.formats import FORMATS
from faultsim.ops import Patch
from faultsim.ops.slots import Table
from faultsim.targets.activations import Targets
from faultsim.targets.closed import check_open
from faultsim.targets.inputs import Run, arguments_of
from faultsim.targets.layouts import Seen, find_layouts, golden_pass
from faultsim.targets.passes import PASS, PassHooks
from faultsim.targets.steps import Sites, Words, key_of
from faultsim.targets.transient import TransientFaults
from faultsim.targets.words import words_of

ARGUMENTS = ("past_key_values", "past_key_value", "cache_params", "cache", "past", "state", "hx")
"""Names by which models are given what they kept."""

CACHE = "(cache)"
"""What their names in sites are."""

COUNT = "it is a whole number of many bits, which counts and holds no value"
DEEPEST = 8
_OPAQUE = (nn.Module, type, torch.dtype, torch.device, str, bytes)

Visit = Callable[[str, torch.Tensor], Any]


class CacheHooks(PassHooks):
    """Calls ``visit(site name, tensor)`` for every tensor of a cache before a pass reads it."""

    def __init__(self, model: nn.Module, visit: Visit) -> None:
        super().__init__(model)
        self._visit = visit
        self._signature = inspect.signature(model.forward)
        self._patches: list[Patch] = []

    def register(self) -> None:
        """Places the hooks."""
        self.enter(())

    def begin(self, arguments: Any) -> None:
        super().begin(arguments)
        if self._depth != PASS:
            return
        for name, tensor in caches_in(self._signature, *arguments):
            self._visit(name, tensor)

    def strike(self, tensor: torch.Tensor, table: Table) -> None:
        """Strikes a tensor where it lies, until the run ends.

        Under autograd it is given other memory, for who read it may have saved it.
        """
        saved = torch.is_grad_enabled() and tensor.requires_grad
        place = tensor.detach().clone() if saved else tensor
        words = words_of(place)
        if isinstance(words, str):
            raise InjectionError(f"a cache cannot be struck: {words}")
        patch = Patch([words], table)
        if not saved:
            self._patches.append(patch)  # first: an interrupt may come between
        patch.strike()
        if saved:
            tensor.data = place

    def new_run(self) -> None:
        """The next batch is run."""
        super().new_run()
        self._restore()

    def _restore(self) -> None:
        """Gives words back that are still as they were struck: they may be the caller's."""
        while self._patches:
            self._patches[-1].restore()
            self._patches.pop()

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        super().remove()
        self._restore()


def caches_in(
    signature: inspect.Signature, args: Any, kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of the caches among the arguments of a ``forward``, by the names of their sites.

    Those of a second cache have the name of the argument too.
    """
    try:
        given = {**signature.bind_partial(*args, **kwargs).arguments, **kwargs}
    except TypeError:  # the model itself will say so
        return
    held = [name for name in ARGUMENTS if given.get(name) is not None]
    seen: set[tuple[int, int]] = set()
    for number, argument in enumerate(held):
        prefix = CACHE if not number else f"{CACHE}.{argument}"
        for path, tensor in stored(given[argument]):
            place = _place(tensor)
            if place not in seen:
                seen.add(place)
                yield f"{prefix}.{path}" if path else prefix, tensor


def stored(cache: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors that a cache holds, with their paths."""
    if isinstance(cache, torch.Tensor):
        yield path, cache
    elif depth < DEEPEST:
        for key, item in _held(cache).items():
            yield from stored(item, f"{path}.{key}" if path else str(key), depth + 1)


def _held(cache: Any) -> Mapping[Any, Any]:
    held = trees.items(cache)
    if held or isinstance(cache, _OPAQUE) or callable(cache):
        return held
    return getattr(cache, "__dict__", {})


def _place(tensor: torch.Tensor) -> tuple[int, int]:
    try:
        return tensor.untyped_storage().data_ptr(), int(tensor.storage_offset())
    except (RuntimeError, NotImplementedError):  # sparse and such
        return id(tensor), 0


def cache_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> Targets:
    """The tensors of the caches that a model is given in the passes of one run.

    A site holds what is stored when a pass begins, at each of the passes: of a cache that grows,
    more words at each step. What only the first pass is given is there too.

    Args:
        model: Run as it is, without gradients; it is as before.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments; of trees.
        run: How ``inputs`` go through the model, if not so.

    Raises:
        FaultError: No inputs were given, or the model is closed to hooks.
    """
    check_open(model)
    batch = arguments_of(model, inputs, run)
    sites = Sites("kv-cache")

    def visit(name: str, tensor: torch.Tensor) -> None:
        words = cached_words(tensor)
        if isinstance(words, str):
            sites.skipped[name] = words
        else:
            sites.see(name, hooks.step, Words(FORMATS[words.dtype].name, tuple(words.shape)))

    hooks = CacheHooks(model, visit)
    golden_pass(model, batch, hooks, run)
    for name in sites.names:  # empty before the first pass, say
        sites.skipped.pop(name, None)
    if sites.names:
        layouts = find_layouts(model, batch, sites.shapes, lambda seen: _watched(model, seen), run)
        sites.place(layouts, hooks.steps)
    return Targets(sites.sites, sites.skipped, sites.whole)


def _watched(model: nn.Module, seen: Seen) -> PassHooks:
    def visit(name: str, tensor: torch.Tensor) -> None:
        words = cached_words(tensor)
        if not isinstance(words, str):
            seen(key_of(name, hooks.step), words)

    hooks = CacheHooks(model, visit)
    return hooks


def cached_words(tensor: torch.Tensor) -> torch.Tensor | str:
    """The words of a tensor of a cache; why there are none."""
    words = words_of(tensor)
    if not isinstance(words, str) and not FORMATS[words.dtype].is_float and words.itemsize > 1:
        return COUNT
    return words


class CacheFaults(TransientFaults):
    """The cache faults of a set, armed on a model: each strikes once, before the pass it names."""

    kind = "kv-cache"
    _hooks: CacheHooks

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return CacheHooks(model, self._visit)

    def _modules(self) -> set[str]:
        return set()

    def _visit(self, name: str, tensor: torch.Tensor) -> None:
        if name not in self._faults or not len(self._now(*self._faults[name])):
            return
        words = cached_words(tensor)
        if isinstance(words, str):
            raise InjectionError(f"{name} cannot be struck: {words}")
        rows, index = self._aimed(name, words)
        table = self._faults[name][1].table[:, rows]
        table[:2] = np.zeros_like(index), index
        self._hooks.strike(tensor, table)
        self._mark(name, rows)
