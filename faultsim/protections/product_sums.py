"""What the sum of a product's results must be, told by its operands.

A product is linear in each operand: its results summed over an axis that only one operand has are
the product with that operand summed over it (K.-H. Huang, J. A. Abraham, IEEE Trans. Comput. C-33,
1984, 518-528). Of magnitudes the same tells how far rounding may lead away from it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from faultsim import trees
from faultsim.protections.product_rules import CONVOLUTIONS, RULES
from faultsim.protections.sums import Gaps, Sums, Tensor, roundings, without_autocast
from faultsim.targets.operation_hooks import operation

_CALLED = {
    **dict.fromkeys(("mat2", "batch2", "vec", "tensor2"), "other"),
    **dict.fromkeys(("mat1", "batch1"), "one"),
}
"""Keywords of torch, and what they are called here."""


@torch.no_grad()
def gaps_of(function: Any, args: Any, kwargs: Any, result: Any) -> Gaps | None:
    """How far sums over the results of a product are from what its operands say.

    Args:
        function: As torch's function modes are given it.
        args: Its arguments.
        kwargs: Its keywords.
        result: What it returned.

    Returns:
        None for other functions, and other tensors than plain floating ones.
    """
    rule = _rule(function)
    real = _plain(result) and result.is_floating_point() and result.numel()
    if rule is None or not real:
        return None
    named = {_CALLED.get(name, name): value for name, value in kwargs.items()}
    given = list(trees.tensors((args, named)))
    if not named.keys() <= _parameters(rule) or not all(map(_plain, given)):
        return None

    def as_computed(_: str, operand: Tensor) -> Tensor:  # autocast rounds them first
        short = operand.is_floating_point() and operand.element_size() > result.element_size()
        return operand.to(result.dtype) if short else operand

    args, named = trees.map_tensors((args, named), as_computed)
    with without_autocast(result.device.type):
        sums = rule(result, *args, **named)
        convolved = _name(function) in CONVOLUTIONS
        return sums and sums.gaps(*roundings(result, convolved=convolved), result.dtype)


def product(function: Any) -> str | None:
    """The name of a function whose results have sums that are known; None for others."""
    return _name(function) if _rule(function) else None


@functools.cache
def _parameters(rule: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(rule).parameters) - {"out"}


def _rule(function: Any) -> Callable[..., Sums | None] | None:
    return RULES.get(_name(function) or "")


def _name(function: Any) -> str | None:
    name = str(getattr(function, "__name__", ""))
    in_place = name.endswith("_") and not name.endswith("__")  # what it was given is gone
    return name if name == "__rmatmul__" else None if in_place else operation(function)


def _plain(value: Any) -> bool:
    usual = type(value) in (Tensor, torch.nn.Parameter)
    return usual and value.layout == torch.strided and not value.is_complex()
