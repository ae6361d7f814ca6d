"""Faults in the results of functions that a model's code calls between its modules.

Residual additions, attention scores, ``F.relu``, ``torch.cat``: no hook of a module sees these.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from faultsim.dtypes import FORMATS
from faultsim.targets.activations import Targets, TensorFaults, output_words, showing
from faultsim.targets.closed import check_seen
from faultsim.targets.inputs import Run, arguments_of
from faultsim.targets.layouts import Seen, find_layouts, golden_pass
from faultsim.targets.operation_hooks import OperationHooks
from faultsim.targets.passes import PassHooks
from faultsim.targets.steps import Sites, Words, key_of


def operation_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> Targets:
    """The results of functions in one golden forward pass, in the order they are computed.

    No graph is traced: functions are seen as Python calls them while a pass runs
    (:class:`faultsim.targets.operation_hooks.OperationHooks` says how they are named), so that
    models whose control flow depends on data have such sites too, and an ``fx.GraphModule`` or an
    exported program has one for each node that calls a function. The result of an operation in
    place is a site; a view, or what is handed on as it was given, is none. Neither are results of
    factories (``torch.arange``, ``zeros_like``), which compute nothing from a tensor.

    What ``torch.nn``'s own layers compute is their activation, and is left out. What other modules
    return is a site although it may be their activation as well: of a residual block that ends in
    an addition, this one counts like those before it.

    Not seen is what Python does not call: inside of scripted modules, of kernels and other
    functions (the scores of ``scaled_dot_product_attention``), and inside of compiled functions;
    nor what methods other than ``forward`` compute between passes (``generate``).

    Args:
        model: Run as it is, without gradients; it is as before.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments; of trees.
        run: How ``inputs`` go through the model, if not so.

    Raises:
        FaultError: No inputs were given, or the model is scripted, compiled or not initialised.
    """
    check_seen(model)
    batch = arguments_of(model, inputs, run)
    sites = Sites("operations")

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if not hooks.is_value(tensor):
            return tensor
        words = output_words(tensor)
        if isinstance(words, str):
            sites.skipped[name] = words
        else:
            sites.see(name, hooks.step, Words(FORMATS[words.dtype].name, tuple(words.shape)))
        return tensor

    hooks = OperationHooks(model, visit)
    golden_pass(model, batch, hooks, run)
    skipped = sites.skipped
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            skipped[name] = "it is scripted: Python does not see it run"
    shapes = sites.shapes
    layouts = find_layouts(model, batch, shapes, lambda seen: _watched(model, seen, shapes), run)
    sites.place(layouts, hooks.steps)
    return Targets(sites.sites, skipped, sites.whole)


def _watched(model: nn.Module, seen: Seen, known: Collection[str]) -> PassHooks:
    def show(name: str, words: torch.Tensor) -> None:
        key = key_of(name, hooks.step)
        if key in known:
            seen(key, words)

    hooks = OperationHooks(model, showing(show))
    return hooks


class OperationFaults(TensorFaults):
    """The faults of a set in results of functions, armed on a model."""

    kind = "operations"

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return OperationHooks(model, self._visit, set(self._faults))
