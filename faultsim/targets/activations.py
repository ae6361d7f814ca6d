"""Faults in the outputs of modules, through forward hooks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Site
from faultsim.ops.memory import overlaps
from faultsim.ops.striking import apply_columns_
from faultsim.targets.closed import check_open
from faultsim.targets.inputs import Run, Sizes, arguments_of
from faultsim.targets.layouts import Seen, find_layouts, golden_pass
from faultsim.targets.output_hooks import OutputHooks, Visit
from faultsim.targets.passes import PassHooks
from faultsim.targets.samples import strikes
from faultsim.targets.steps import Sites, Words, key_of
from faultsim.targets.transient import TransientFaults, module_of
from faultsim.targets.words import words_of


class Targets(NamedTuple):
    """What a golden pass found.

    Attributes:
        sites: In the order they are computed.
        skipped: What can be no site, with the reason.
        whole: Sites whose samples cannot be told apart, with the reason.
    """

    sites: list[Site]
    skipped: dict[str, str]
    whole: dict[str, str]


def activation_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> Targets:
    """The activations of one golden forward pass, in the order they are computed.

    A few more passes, of two and three samples, find where each output holds its samples
    (:mod:`faultsim.targets.layouts`). An output in which they cannot be told apart is indexed as a
    whole (``per_sample`` is False). Where a run has several forward passes, a site holds the words
    of all of them (:mod:`faultsim.targets.steps`).

    Args:
        model: Run as it is, without gradients; it is as before.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments; of trees.
        run: How ``inputs`` go through the model, if not so.

    Raises:
        FaultError: No inputs were given, or the calls of the model's modules cannot be seen.
    """
    check_open(model)
    batch = arguments_of(model, inputs, run)
    sites = Sites("activations")

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        words = output_words(tensor)
        if isinstance(words, str):
            sites.skipped[name] = words
        else:
            sites.see(name, hooks.step, Words(FORMATS[words.dtype].name, tuple(words.shape)))
        return tensor

    hooks = OutputHooks(model, visit)
    golden_pass(model, batch, hooks, run)
    skipped = sites.skipped
    skipped |= dict.fromkeys(sorted(hooks.without), "it returns no tensor")
    known = {module_of(name) for name in (*sites.names, *skipped)}
    skipped |= no_sites(model, hooks.ran, known, "it returns a tensor that is no value of its own")
    layouts = find_layouts(model, batch, sites.shapes, lambda seen: _watched(model, seen), run)
    sites.place(layouts, hooks.steps)
    return Targets(sites.sites, skipped, sites.whole)


def _watched(model: nn.Module, seen: Seen) -> PassHooks:
    hooks = OutputHooks(model, showing(lambda name, words: seen(key_of(name, hooks.step), words)))
    return hooks


def showing(seen: Seen) -> Visit:
    """A visit that shows the words of each tensor that has some, and hands it on."""

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        words = output_words(tensor)
        if not isinstance(words, str):
            seen(name, words)
        return tensor

    return visit


def output_words(tensor: torch.Tensor) -> torch.Tensor | str:
    """The words of a module's output; why there are none."""
    plain = tensor.detach()
    if plain.layout == torch.strided and not plain.is_quantized and not plain.is_nested:
        plain = plain.resolve_conj().resolve_neg()
        plain = plain.clone() if overlaps(plain) else plain  # a fault strikes a copy in any case
    return words_of(plain)


def no_sites(model: nn.Module, ran: set[str], known: set[str], why: str) -> dict[str, str]:
    """Modules without children that might have a value of their own, and why none was seen.

    Args:
        model: The root.
        ran: Names of the modules that ran.
        known: Names of those that have one.
        why: What is said of the others that ran.
    """
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            found[name] = "it is scripted: Python does not see it run"
        elif name and name not in known and not any(module.children()) and _can_run(module):
            found[name] = why if name in ran else "it did not run in the golden pass"
    return found


def _can_run(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward


class TensorFaults(TransientFaults):
    """The faults in tensors that a pass computes or is given, armed on a model.

    Each struck tensor is copied first, so that nothing that aliases it (an input, a parameter, a
    cached value, a tensor saved for backward) ever changes.
    """

    def _visit(
        self,
        name: str,
        tensor: torch.Tensor,
        offset: int | None = None,
        sizes: Sizes | None = None,
    ) -> torch.Tensor:
        """The tensor to hand on; ``offset`` and ``sizes`` unless they are those of the pass."""
        if name not in self._faults:
            return tensor
        site, faults = self._faults[name]
        now = self._now(site, faults)
        if not len(now):
            return tensor
        struck = tensor.resolve_conj().resolve_neg() if tensor.is_complex() else tensor
        struck = self._copy(struck)
        words = words_of(struck)
        if isinstance(words, str):
            raise InjectionError(f"{name} cannot be struck: {words}")
        if words.dtype != site.format.dtype:
            raise FaultError(f"{name} is {words.dtype} here, but its faults are for {site.dtype}")
        shape = tuple(words.shape)
        rows, index = strikes(
            site,
            faults[now],
            shape,
            self.offset if offset is None else offset,
            self._hooks.sizes if sizes is None else sizes,
        )
        rows = now[rows]
        if not words.numel():  # of samples of several shapes: this one has nothing to strike
            self._mark(name, now)
        for number in np.unique(faults.op[rows]).tolist():
            chosen = faults.op[rows] == number
            part = faults[rows[chosen]]
            apply_columns_(words, index[chosen], number, part.mask, part.operand, part.random)
        self._mark(name, rows)
        return struck

    def _copy(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.clone()


class ActivationFaults(TensorFaults):
    """The activation faults of a set, armed on a model; what was changed in place is struck so."""

    kind = "activations"

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return OutputHooks(model, self._visit, self._modules(), self._when)
