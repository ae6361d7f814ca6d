"""Where each kind of target is found: one function a kind, from a model and a batch to sites."""

from __future__ import annotations

from typing import Any

from torch import nn

from faultsim.faults import Site
from faultsim.kinds import Kind
from faultsim.targets.activations import Targets, activation_sites
from faultsim.targets.cache import NO_CACHE, cache_sites
from faultsim.targets.inputs import Run
from faultsim.targets.model_inputs import input_sites
from faultsim.targets.module_inputs import module_input_sites
from faultsim.targets.operations import operation_sites
from faultsim.targets.states import state_sites
from faultsim.targets.tensors import weights_of

WITHOUT = {
    "states": "the model has no hidden states: none of its modules is SelectiveScan",
    "kv-cache": NO_CACHE,
    "operations": "the model has no operations: its modules are all of torch.nn, so that what they "
    "compute is their activations",
}
"""What is said of a model in which there are none of a kind, where that takes a reason."""


def find_sites(
    kind: Kind, model: nn.Module, inputs: Any, run: Run | None, *, integers: bool
) -> Targets:
    """The sites of one kind, in the model's order.

    Args:
        kind: What is to be struck.
        model: Any module; nothing in it is changed.
        inputs: A batch, for kinds that a pass computes.
        run: How ``inputs`` go through the model, if not as its arguments.
        integers: Whether integer buffers are struck too.

    Raises:
        FaultError: The model is closed to them, or no inputs were given.
    """
    if kind == "weights":
        return _weight_sites(model, integers)
    if kind == "activations":
        return activation_sites(model, inputs, run)
    if kind == "inputs":
        return input_sites(model, inputs, run)
    if kind == "module-inputs":
        return module_input_sites(model, inputs, run)
    if kind == "kv-cache":
        return cache_sites(model, inputs, run)
    if kind == "operations":
        return operation_sites(model, inputs, run)
    return Targets(*state_sites(model, inputs, run))


def _weight_sites(model: nn.Module, integers: bool) -> Targets:
    words, skipped = weights_of(model, integers=integers)
    sites = [
        Site(name, "weights", str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in words.items()
    ]
    return Targets(sites, skipped, {})
