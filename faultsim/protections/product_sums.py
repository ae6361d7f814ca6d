"""What the sum of a product's results must be, told by its operands.

A product is linear in each operand: its results summed over an axis that only one operand has are
the product with that operand summed over it (K.-H. Huang, J. A. Abraham, IEEE Trans. Comput. C-33,
1984, 518-528). Of magnitudes the same tells how far rounding may lead away from it.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from faultsim import trees
from faultsim.targets.operation_hooks import operation

Tensor = torch.Tensor

FLUSHED = 1.2e-38
"""What a product of float32 or bfloat16 may lose where small numbers become 0."""

ROUNDED = 6
"""Roundings of a result to its format, and of operands or weights on the way."""

EXPONENTIAL = 32
"""Roundings that a fast exponential may be off by."""


class Sums(NamedTuple):
    """Sums over the results of a product, for every place that is left.

    Attributes:
        found: (\\*places), of the results; float32, or float64 of such.
        expected: The same, of the operands.
        bound: The same, of the operands' magnitudes, or more.
        terms: Numbers that are added up to a result.
        width: Results in a sum.
        off: By what share of the bound they may be off besides, perhaps (\\*places).
    """

    found: Tensor
    expected: Tensor
    bound: Tensor
    terms: int
    width: int
    off: float | Tensor = 0.0

    def gaps(self, eps: float, added: float, kind: torch.dtype) -> Gaps:
        """How far they are apart.

        Args:
            eps: Of the coarsest format in the product.
            added: Of the format that it is added up in.
            kind: Of the results. Where they may have gone beyond its range, nothing is known.
        """
        about, additions = torch.finfo(kind), 2 * (self.terms + self.width)
        lost = self.width * (about.tiny * about.eps + additions * FLUSHED)
        known = self.expected.isfinite() & (self.bound <= about.max)
        gap = (self.found - self.expected).abs()
        ratio = torch.where(~known | (gap <= lost), 0, gap / self.bound)
        return Gaps(ratio, additions * added + ROUNDED * eps + self.off, ROUNDED * added)


class Gaps(NamedTuple):
    """How far sums over results are from what they must be, as shares of the operands' magnitudes.

    Attributes:
        ratio: (\\*places); 0 where nothing is known, NaN where a result is none.
        most: What rounding can do at worst, perhaps (\\*places).
        least: What it may always do.
    """

    ratio: Tensor
    most: float | Tensor
    least: float

    def wrong(self, usual: float = math.inf) -> Tensor:
        """(\\*places) bool: where they are further apart than rounding may lead.

        Args:
            usual: What it does, where that is known; it never does more than the most.
        """
        return ~((self.ratio <= self.most) & (self.ratio <= max(usual, self.least)))


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
    with _without_autocast(result.device.type):
        sums = rule(result, *args, **named)
        return sums and sums.gaps(*_roundings(function, result), result.dtype)


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    on = torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


def product(function: Any) -> str | None:
    """The name of a function whose results have sums that are known; None for others."""
    return _name(function) if _rule(function) else None


def _roundings(function: Any, result: Tensor) -> tuple[float, float]:
    """Those of the formats that a product may have been computed and added up in."""
    eps = torch.finfo(result.dtype).eps
    if result.dtype == torch.float64:
        return eps, eps
    added = torch.finfo(torch.float32).eps
    convolved = _name(function) in _CONVOLUTIONS
    if result.dtype == torch.float32:
        exact = torch.get_float32_matmul_precision() == "highest"
        short = result.is_cuda and torch.backends.cudnn.allow_tf32 if convolved else not exact
        return (torch.finfo(torch.bfloat16).eps if short else eps), added
    return eps, eps if result.is_cuda else added  # there partial sums may be rounded


@functools.cache
def _parameters(rule: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(rule).parameters) - {"out"}


def _rule(function: Any) -> Callable[..., Sums | None] | None:
    return _RULES.get(_name(function) or "")


def _name(function: Any) -> str | None:
    name = str(getattr(function, "__name__", ""))
    in_place = name.endswith("_") and not name.endswith("__")  # what it was given is gone
    return name if name == "__rmatmul__" else None if in_place else operation(function)


def _plain(value: Any) -> bool:
    usual = type(value) in (Tensor, torch.nn.Parameter)
    return usual and value.layout == torch.strided and not value.is_complex()


def _matmul(out: Tensor, input: Tensor, other: Tensor) -> Sums | None:
    if not input.ndim or not other.ndim or input.ndim == other.ndim == 1:
        return None
    if other.ndim == 1:  # the results of a matrix and a vector are those of a vector and a matrix
        input, other, out = other[None], input.mT, out.unsqueeze(-2)
    elif input.ndim == 1:
        input, out = input[None], out.unsqueeze(-2)
    expected = _wide(input) @ _sum(other)[..., None]
    most = _length(torch.linalg.vector_norm(other, 1, -1, dtype=_width(other)))
    bound = _length(input) * most[..., None]  # a_i . b <= |a_i| |b|, which takes no copy of a
    return Sums(_sum(out), expected[..., 0], bound, input.shape[-1], out.shape[-1])


def _right_matmul(out: Tensor, other: Tensor, input: Tensor) -> Sums | None:
    return _matmul(out, input, other)


def _linear(out: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Sums | None:
    if weight.ndim != 2:
        return None
    return _with(_matmul(out, input, weight.mT), bias, 1)


def _added(
    out: Tensor, input: Tensor, one: Tensor, other: Tensor, *, beta: float = 1, alpha: float = 1
) -> Sums | None:
    found = _matmul(out, one, other)
    if found is None:
        return None
    scaled = found._replace(expected=alpha * found.expected, bound=abs(alpha) * found.bound)
    return _with(scaled, input.expand(out.shape) if beta else None, beta)


def _with(sums: Sums | None, added: Tensor | None, factor: float) -> Sums | None:
    """The sums, where something was added to the product."""
    if sums is None or added is None:
        return sums
    return sums._replace(
        expected=sums.expected + factor * _sum(added),
        bound=sums.bound + abs(factor) * _sum(added.abs()),
        terms=sums.terms + 1,
    )


def _einsum(out: Tensor, equation: Any, *given: Any) -> Sums | None:
    operands = list(given[0] if len(given) == 1 and isinstance(given[0], (list, tuple)) else given)
    if not isinstance(equation, str):  # a list of numbers beside each operand
        return None
    terms, result = _labels(equation)
    which = [label for label in result if Counter("".join(terms))[label] == 1 and label.isalpha()]
    if len(operands) < 2 or not which or ("..." in "".join(terms)) != ("..." in result):
        return None
    label = which[-1]
    place = next(number for number, term in enumerate(terms) if label in term)
    left = [term.replace(label, "") for term in terms]
    short = ",".join(left) + "->" + result.replace(label, "")
    axis = _axis(terms[place], label)

    def computed(change: Callable[[Tensor], Tensor]) -> Tensor:
        wide = [change(_wide(operand)) for operand in operands]
        wide[place] = wide[place].sum(axis)
        return torch.einsum(short, *wide)

    sizes: defaultdict[str, int] = defaultdict(int)
    for term, operand in zip(terms, operands, strict=True):
        for c, size in _sizes(term, operand):
            sizes[c] = max(size, sizes[c])
    summed = math.prod(size for c, size in sizes.items() if c not in result)
    found = out.sum(_axis(result, label), dtype=_width(out))
    count = summed + len(operands)
    return Sums(found, computed(lambda t: t), computed(torch.abs), count, sizes[label])


def _labels(equation: str) -> tuple[list[str], str]:
    """The labels of each operand, and those of the result, which need not be written."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    if not arrow:
        count = Counter(left)
        once = sorted(label for label in count if label.isalpha() and count[label] == 1)
        right = "..." * ("..." in left) + "".join(once)
    return left.split(","), right


def _axis(term: str, label: str) -> int:
    """From the end, where what an ellipsis stands for does not count; else from the start."""
    before, _, after = term.partition(label)
    return -1 - len(after) if "..." in before else len(before)


def _sizes(term: str, operand: Tensor) -> list[tuple[str, int]]:
    left, dots, right = term.partition("...")
    sizes = operand.shape
    ends = zip(right, sizes[len(sizes) - len(right) :], strict=True) if dots else ()
    return [*zip(left, sizes, strict=False), *ends]


def _attention(
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Sums | None:
    """It is linear in the values; the scores are computed once more, in the same format."""
    if dropout_p:
        return None
    both = torch.stack([value.sum(-1), value.abs().sum(-1)], -1)
    grouped = {"enable_gqa": True} if enable_gqa else {}  # torch 2.4 knows no such argument
    again = functional.scaled_dot_product_attention(
        query, key, both, attn_mask, 0.0, is_causal, scale=scale, **grouped
    ).to(_width(out))
    size, eps = query.shape[-1], torch.finfo(value.dtype).eps
    longest = _length(key).amax(-1)
    if enable_gqa:
        longest = longest.repeat_interleave(query.shape[-3] // key.shape[-3], -1)
    scores = _length(query) * longest[..., None] * (scale or size**-0.5)
    one = ROUNDED * eps + size * min(eps, torch.finfo(torch.float32).eps)  # of a score's
    off = torch.expm1(2 * one * scores.abs()) + EXPONENTIAL * min(eps, 1.2e-7) + 2 * eps
    return Sums(_sum(out), again[..., 0], again[..., 1], key.shape[-2], value.shape[-1], off)


def _convolution(convolve: Any) -> Callable[..., Sums | None]:
    def sums(
        out: Tensor,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Sums | None:
        axis, wide = 1 - weight.ndim, _wide(input)
        grouped = _wide(weight).reshape(groups, -1, *weight.shape[1:])
        place = (None, stride, padding, dilation, groups)
        expected = convolve(wide, grouped.sum(1), *place)
        bound = convolve(wide.abs(), grouped.abs().sum(1), *place)
        places = out.shape[axis + 1 :]
        found = out.reshape(*out.shape[:axis], groups, -1, *places).sum(axis, dtype=_width(out))
        sums = Sums(found, expected, bound, weight[0].numel() + 1, grouped.shape[1])
        if bias is None:
            return sums
        added = _wide(bias).view(groups, -1)
        shape = (groups, *[1] * (weight.ndim - 2))
        return sums._replace(
            expected=expected + added.sum(1).view(shape),
            bound=bound + added.abs().sum(1).view(shape),
        )

    return sums


def _width(of: Tensor) -> torch.dtype:
    """The format that sums are taken in."""
    return torch.float64 if of.dtype == torch.float64 else torch.float32


def _wide(operand: Tensor) -> Tensor:
    return operand.to(_width(operand))


def _sum(out: Tensor) -> Tensor:
    return out.sum(-1, dtype=_width(out))


def _length(rows: Tensor) -> Tensor:
    """Euclid's, of rows; no less where squares of small numbers vanish."""
    length: Tensor = torch.linalg.vector_norm(rows, dim=-1, dtype=_width(rows))
    return length + math.sqrt(rows.shape[-1] * FLUSHED)


_CALLED = {
    **dict.fromkeys(("mat2", "batch2", "vec", "tensor2"), "other"),
    **dict.fromkeys(("mat1", "batch1"), "one"),
}
"""Keywords of torch, and what they are called here."""

_CONVOLUTIONS = {
    "conv1d": functional.conv1d,
    "conv2d": functional.conv2d,
    "conv3d": functional.conv3d,
}

_RULES: dict[str, Callable[..., Sums | None]] = {
    **dict.fromkeys(("matmul", "linalg_matmul", "mm", "bmm", "mv"), _matmul),
    "__rmatmul__": _right_matmul,
    "linear": _linear,
    **dict.fromkeys(("addmm", "baddbmm"), _added),
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    **{name: _convolution(convolve) for name, convolve in _CONVOLUTIONS.items()},
}
