"""Redundancy: a layer with all its weights twice or three times, and what they return compared."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.protections.layers import Around, is_leaf, layers_of, put_around
from faultsim.protections.protection import Rehearsal


class Redundancy:
    """Named layers run twice (a difference is detected) or three times (a majority corrects it)."""

    def __init__(self, name: str, copies: int, pattern: str | None = None) -> None:
        """Nothing is copied yet.

        Args:
            name: As the command line knows it.
            copies: Of each layer in all: 2 or 3.
            pattern: Of names of layers; None for all with weights that hold no other.
        """
        self.name, self._copies, self._pattern = name, copies, pattern

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""
        layers = layers_of(model, self._pattern, _has_weights, self.name)
        kind = Twice if self._copies == 2 else Thrice
        put_around(model, {id(layer): kind(layer) for layer in layers.values()})


def _has_weights(module: nn.Module) -> bool:
    return is_leaf(module) and next(module.parameters(), None) is not None


class Twice(Around):
    """A layer and its copy; where they differ in a bit, the sample has no answer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.second = copy.deepcopy(inner)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output, other = self.inner(*args, **kwargs), self.second(*args, **kwargs)
        for one, two in zip(trees.tensors(output), trees.tensors(other), strict=True):
            self.alarm(_rows(~alike(one, two)))
        return output


class Thrice(Around):
    """A layer and two copies, and a vote on every number; without a majority there is no answer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.second, self.third = copy.deepcopy(inner), copy.deepcopy(inner)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.inner(*args, **kwargs)
        others = [trees.tensors(each(*args, **kwargs)) for each in (self.second, self.third)]

        def vote(_: str, one: torch.Tensor) -> torch.Tensor:
            two, three = (next(each) for each in others)
            of_others = alike(two, three)
            agreed = alike(one, two) | alike(one, three)
            self.alarm(_rows(~(agreed | of_others)))
            return torch.where(agreed, one, two)

        return trees.map_tensors(output, vote)


def alike(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Which numbers are equal; NaN is like NaN."""
    return (one == other) | ((one != one) & (other != other))


def _rows(wrong: torch.Tensor) -> torch.Tensor:
    """(rows,) bool, from numbers of a batch."""
    return wrong.reshape(len(wrong), -1).any(1) if wrong.ndim else wrong[None]
