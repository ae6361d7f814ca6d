"""Faults in what a model keeps from one forward pass of a run for the next: its key-value cache.

An upset in memory: the word is struck between two passes, and all later ones read it struck, until
somebody writes over it or the run ends. What a cache is, :mod:`faultsim.targets.cache_hooks` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from faultsim.dtypes import FORMATS
from faultsim.faults import FaultSet
from faultsim.kinds import When
from faultsim.targets.activations import Targets, TensorFaults, output_words
from faultsim.targets.cache_hooks import CacheHooks
from faultsim.targets.closed import check_open
from faultsim.targets.inputs import Run, arguments_of
from faultsim.targets.layouts import Seen, find_layouts, golden_pass
from faultsim.targets.passes import PassHooks
from faultsim.targets.steps import Sites, Words, key_of

COUNT = "it is a whole number of many bits, which counts and holds no value"
NO_CACHE = (
    "no forward pass is given a cache: no argument of that name "
    "(cache, past_key_values, state, hx, …) holds tensors, and no pass is given what the one "
    "before it returned; generate with a cache, over several steps"
)


def cache_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> Targets:
    """The tensors of the caches that a model is given in the passes of one run.

    ``(cache)`` is the cache, ``(cache).layers.0.keys`` a tensor in it; that of another argument has
    the argument's name there too. A site holds what is stored when a pass begins, at each of the
    passes: of a cache that grows, more words at each step. What the caller hands to the first pass
    is there as well.

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

    def visit(name: str, words: torch.Tensor | str) -> None:
        if isinstance(words, str):
            sites.skipped[name] = words
        else:
            sites.see(name, hooks.step, Words(FORMATS[words.dtype].name, tuple(words.shape)))

    hooks = _showing(model, visit)
    golden_pass(model, batch, hooks, run)
    for name in sites.names:  # it may be empty before the first pass
        sites.skipped.pop(name, None)
    if sites.names:
        layouts = find_layouts(model, batch, sites.shapes, lambda seen: _watched(model, seen), run)
        sites.place(layouts, hooks.steps)
    return Targets(sites.sites, sites.skipped, sites.whole)


def _watched(model: nn.Module, seen: Seen) -> PassHooks:
    def visit(name: str, words: torch.Tensor | str) -> None:
        if not isinstance(words, str):
            seen(key_of(name, hooks.step), words)

    hooks = _showing(model, visit)
    return hooks


def _showing(model: nn.Module, see: Callable[[str, torch.Tensor | str], None]) -> CacheHooks:
    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        see(name, _words(tensor))
        return tensor

    return CacheHooks(model, visit)


def _words(tensor: torch.Tensor) -> torch.Tensor | str:
    """The words of a tensor of a cache; why there are none."""
    words = output_words(tensor)
    if not isinstance(words, str) and not FORMATS[words.dtype].is_float and words.itemsize > 1:
        return COUNT
    return words


class CacheFaults(TensorFaults):
    """The cache faults of a set, armed on a model: each strikes once, before the pass it names.

    They strike copies, which take the place of what they were copied from. A cache that the caller
    brings along, and that is struck before the first pass, is the caller's again afterwards, as it
    was.
    """

    kind = "kv-cache"
    _hooks: CacheHooks

    def __init__(self, model: nn.Module, faults: FaultSet, when: When = "after") -> None:
        super().__init__(model, faults, when)
        self._hooks.lent = any((part.step == 0).any() for _, part in self._faults.values())

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return CacheHooks(model, self._visit)

    def _modules(self) -> set[str]:
        return set()

    def feed(self, inputs: Any) -> Any:
        self._hooks.lent = False  # a workload runs copies
        return super().feed(inputs)
