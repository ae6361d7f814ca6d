"""What the outputs of layers are like without faults."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.protections.protection import Rehearsal

Extremes = dict[str, tuple[torch.Tensor, torch.Tensor]]


def golden_extremes(rehearse: Rehearsal, layers: Mapping[str, nn.Module]) -> Extremes:
    """The least and the greatest number that each layer returns in a golden run.

    Args:
        rehearse: Runs the batches.
        layers: By name.

    Returns:
        Of those that return floating numbers, in their own dtype.
    """
    found: Extremes = {}
    with ExitStack() as stack:
        for name, layer in layers.items():
            hook = layer.register_forward_hook(partial(_note, found, name))
            stack.callback(hook.remove)
        rehearse()
    return found


def _note(found: Extremes, name: str, module: nn.Module, given: Any, output: Any) -> None:
    for leaf in trees.tensors(output):
        if leaf.is_floating_point() and leaf.numel():
            low, high = torch.aminmax(leaf)
            if name in found:
                low, high = torch.minimum(low, found[name][0]), torch.maximum(high, found[name][1])
            found[name] = low, high
