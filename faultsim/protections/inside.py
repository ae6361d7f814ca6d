"""Weights whose words lie inside a tensor subclass, as torchao's do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from faultsim.protections.memory import why_not_dense
from faultsim.targets.words import inner_tensors

INTEGERS = (torch.int8, torch.uint8)
"""Of quantised weights that a model holds as they are; wider ones are indices and counters."""

Check = Callable[[torch.Tensor], nn.Module]
"""A tensor to the module that reads it from then on: of the same tensor it makes what is used."""


def is_weight(tensor: torch.Tensor) -> bool:
    """Whether its words lie in memory as they are, floating or of bytes."""
    known = tensor.is_floating_point() or tensor.dtype in INTEGERS
    return known and inner_tensors(tensor) is None and not why_not_dense(tensor)


def reading(tensor: torch.Tensor, make: Check) -> nn.Module | None:
    """What reads a tensor through checks: one, or one for each part of a subclass; None for none.

    Args:
        tensor: A weight.
        make: Called with it, or with each of its parts.
    """
    if inner_tensors(tensor) is None:
        return make(tensor) if is_weight(tensor) else None
    inside = Inside(tensor, make)
    return inside if len(inside.parts) else None


class Inside(nn.Module):
    """The parts of a tensor subclass, each read through a check of its own.

    Attributes:
        parts: The checks, by attribute of the subclass.
    """

    def __init__(self, tensor: torch.Tensor, make: Check) -> None:
        super().__init__()
        inner = (inner_tensors(tensor) or {}).items()
        found = {name: reading(part.detach(), make) for name, part in inner}
        self.parts = nn.ModuleDict({n: check for n, check in found.items() if check is not None})

    def forward(self, stored: Any) -> Any:
        names, context = stored.__tensor_flatten__()
        held = {name: getattr(stored, name) for name in names}
        used = {n: self.parts[n](part) if n in self.parts else part for n, part in held.items()}
        if all(used[name] is held[name] for name in names):
            return stored
        return type(stored).__tensor_unflatten__(used, context, stored.size(), stored.stride())
