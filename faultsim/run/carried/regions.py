"""Which part of an operator's output a weight reaches.

Where weights reach different parts, several of them can be struck for one and the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from faultsim.run.carried.operators import Call
from faultsim.run.carried.storage import Ints

aten = torch.ops.aten


class Region(NamedTuple):
    """Parts of the first output.

    Attributes:
        dims: Dimensions that tell parts apart.
        at: (words, dims) which each word reaches; everything along the other dimensions.
    """

    dims: tuple[int, ...]
    at: Ints


Rule = Callable[[Call, int, Ints, torch.Tensor], Region | None]
"""Of an operator: the call, which argument holds the words, their coordinates, its output."""


def region_of(call: Call, leaf: int, places: Ints, output: torch.Tensor) -> Region | None:
    """What struck words reach; None where that is not known.

    Args:
        call: The operator.
        leaf: Which of its operands holds the words.
        places: (words, dimensions) their coordinates there, -1 where a dimension repeats one.
        output: Its first.
    """
    rule, argument = _RULES.get(call.func), call.argument(leaf)
    if rule is None or argument is None:
        return None
    region = rule(call, argument, places, output)
    return None if region is None or (region.at < 0).any() else region


def _at(dims: tuple[int, ...], index: Ints) -> Region:
    return Region(dims, index)


def _convolution(call: Call, argument: int, places: Ints, output: torch.Tensor) -> Region | None:
    weight, transposed, groups = call.args[1], call.args[6], call.args[8]
    channels = output.ndim - weight.ndim + 1
    if argument == 2:
        return _at((channels,), places[:, :1])
    if argument != 1:
        return None
    if not transposed:
        return _at((channels,), places[:, :1])
    group = places[:, 0] // (weight.shape[0] // groups)
    return _at((channels,), (group * weight.shape[1] + places[:, 1])[:, None])


def _columns(first: int) -> Rule:
    """Of a product of matrices, the second of which is argument ``first`` + 1."""

    def rule(call: Call, argument: int, places: Ints, output: torch.Tensor) -> Region | None:
        last = output.ndim - 1
        batch = tuple(range(last - 1))  # of bmm, the number of the product
        if argument == first + 1:
            keep = [*batch, places.shape[1] - 1]
            return _at((*batch, last), places[:, keep])
        if argument == first:
            return _at((*batch, last - 1), places[:, :last])
        return _at((last,), places[:, -1:]) if places.shape[1] == 1 else None

    return rule


def _linear(call: Call, argument: int, places: Ints, output: torch.Tensor) -> Region | None:
    return _at((output.ndim - 1,), places[:, :1]) if argument in (1, 2) else None


def _channels(call: Call, argument: int, places: Ints, output: torch.Tensor) -> Region | None:
    return _at((1,), places) if argument > 0 and places.shape[1] == 1 else None


def _embedding(call: Call, argument: int, places: Ints, output: torch.Tensor) -> Region | None:
    return _at((output.ndim - 1,), places[:, 1:]) if argument == 0 else None


def _layer_norm(call: Call, argument: int, places: Ints, output: torch.Tensor) -> Region | None:
    if argument not in (2, 3):
        return None
    first = output.ndim - places.shape[1]
    return _at(tuple(range(first, output.ndim)), places)


_RULES: dict[object, Rule] = {
    aten.convolution.default: _convolution,
    aten.mm.default: _columns(0),
    aten.bmm.default: _columns(0),
    aten.addmm.default: _columns(1),
    aten.baddbmm.default: _columns(1),
    aten.linear.default: _linear,
    aten.native_batch_norm.default: _channels,
    aten._native_batch_norm_legit_no_training.default: _channels,
    aten.cudnn_batch_norm.default: _channels,
    aten.native_group_norm.default: _channels,
    aten.native_layer_norm.default: _layer_norm,
    aten.embedding.default: _embedding,
}
