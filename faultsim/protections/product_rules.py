"""What the sums of each product must be, by the name of torch's function."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from faultsim.protections.sums import ROUNDED, Sums, Tensor, length_of, sum_of, wide, width_of

EXPONENTIAL = 32
"""Roundings that a fast exponential may be off by."""


def _matmul(out: Tensor, input: Tensor, other: Tensor) -> Sums | None:
    if not input.ndim or not other.ndim or input.ndim == other.ndim == 1:
        return None
    if other.ndim == 1:  # the results of a matrix and a vector are those of a vector and a matrix
        input, other, out = other[None], input.mT, out.unsqueeze(-2)
    elif input.ndim == 1:
        input, out = input[None], out.unsqueeze(-2)
    expected = wide(input) @ sum_of(other)[..., None]
    most = length_of(torch.linalg.vector_norm(other, 1, -1, dtype=width_of(other)))
    bound = length_of(input) * most[..., None]  # a_i . b <= |a_i| |b|, which takes no copy of a
    return Sums(sum_of(out), expected[..., 0], bound, input.shape[-1], out.shape[-1])


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
        expected=sums.expected + factor * sum_of(added),
        bound=sums.bound + abs(factor) * sum_of(added.abs()),
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
        operands_wide = [change(wide(operand)) for operand in operands]
        operands_wide[place] = operands_wide[place].sum(axis)
        return torch.einsum(short, *operands_wide)

    sizes: defaultdict[str, int] = defaultdict(int)
    for term, operand in zip(terms, operands, strict=True):
        for c, size in _sizes(term, operand):
            sizes[c] = max(size, sizes[c])
    summed = math.prod(size for c, size in sizes.items() if c not in result)
    found = out.sum(_axis(result, label), dtype=width_of(out))
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
    ).to(width_of(out))
    size, eps = query.shape[-1], torch.finfo(value.dtype).eps
    longest = length_of(key).amax(-1)
    if enable_gqa:
        longest = longest.repeat_interleave(query.shape[-3] // key.shape[-3], -1)
    scores = length_of(query) * longest[..., None] * (scale or size**-0.5)
    one = ROUNDED * eps + size * min(eps, torch.finfo(torch.float32).eps)  # of a score's
    off = torch.expm1(2 * one * scores.abs()) + EXPONENTIAL * min(eps, 1.2e-7) + 2 * eps
    return Sums(sum_of(out), again[..., 0], again[..., 1], key.shape[-2], value.shape[-1], off)


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
        axis, given = 1 - weight.ndim, wide(input)
        grouped = wide(weight).reshape(groups, -1, *weight.shape[1:])
        place = (None, stride, padding, dilation, groups)
        expected = convolve(given, grouped.sum(1), *place)
        bound = convolve(given.abs(), grouped.abs().sum(1), *place)
        places = out.shape[axis + 1 :]
        found = out.reshape(*out.shape[:axis], groups, -1, *places).sum(axis, dtype=width_of(out))
        sums = Sums(found, expected, bound, weight[0].numel() + 1, grouped.shape[1])
        if bias is None:
            return sums
        added = wide(bias).view(groups, -1)
        shape = (groups, *[1] * (weight.ndim - 2))
        return sums._replace(
            expected=expected + added.sum(1).view(shape),
            bound=bound + added.abs().sum(1).view(shape),
        )

    return sums


CONVOLUTIONS = {
    "conv1d": functional.conv1d,
    "conv2d": functional.conv2d,
    "conv3d": functional.conv3d,
}

RULES: dict[str, Callable[..., Sums | None]] = {
    **dict.fromkeys(("matmul", "linalg_matmul", "mm", "bmm", "mv"), _matmul),
    "__rmatmul__": _right_matmul,
    "linear": _linear,
    **dict.fromkeys(("addmm", "baddbmm"), _added),
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    **{name: _convolution(convolve) for name, convolve in CONVOLUTIONS.items()},
}
