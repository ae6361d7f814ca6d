"""A guard against numbers that are none."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.protections.layers import Around, is_leaf, layers_of, put_around
from faultsim.protections.protection import Rehearsal


class NanGuard:
    """Infinite numbers and NaN in the outputs of layers become 0."""

    name = "nan-guard"

    def __init__(self, pattern: str | None = None) -> None:
        """Nothing is done yet.

        Args:
            pattern: Of names of layers; None for all that hold no other.
        """
        self._pattern = pattern

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""
        layers = layers_of(model, self._pattern, is_leaf, self.name)
        put_around(model, {id(layer): Finite(layer) for layer in layers.values()})


class Finite(Around):
    """A layer that returns finite numbers alone."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return trees.map_tensors(self.inner(*args, **kwargs), _finite)


def _finite(_: str, values: torch.Tensor) -> torch.Tensor:
    if not values.is_floating_point():
        return values
    return torch.where(values.isfinite(), values, 0)
