"""Checksums of products: nothing without a fault, and every flip that is more than rounding."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from faultsim.protections.product_sums import gaps_of, product

F = functional


def einsum(equation, *shapes):
    return lambda draw: torch.einsum(equation, *map(draw, shapes))


PRODUCTS = {
    "matmul": lambda draw: draw((4, 2, 5, 6)) @ draw((4, 2, 6, 3)),
    "broadcast": lambda draw: draw((5, 6)).matmul(draw((4, 1, 6, 3))),
    "right": lambda draw: draw((6, 3)).__rmatmul__(draw((4, 6))),
    "matrix and vector": lambda draw: draw((4, 6)) @ draw((6,)),
    "vector and matrices": lambda draw: draw((6,)) @ draw((4, 6, 3)),
    "mv": lambda draw: torch.mv(draw((4, 6)), vec=draw((6,))),
    "mm": lambda draw: torch.mm(draw((4, 6)), mat2=draw((6, 3))),
    "bmm": lambda draw: torch.bmm(draw((4, 5, 6)), draw((4, 6, 3))),
    "linalg": lambda draw: torch.linalg.matmul(draw((4, 6)), draw((6, 3))),
    "addmm": lambda draw: torch.addmm(draw((3,)), draw((4, 6)), draw((6, 3)), beta=-2, alpha=0.5),
    "baddbmm": lambda draw: torch.baddbmm(
        draw((4, 5, 3)), batch1=draw((4, 5, 6)), batch2=draw((4, 6, 3)), beta=0
    ),
    "linear": lambda draw: F.linear(draw((4, 5, 6)), draw((3, 6)), draw((3,))),
    "linear of one row": lambda draw: F.linear(draw((6,)), bias=None, weight=draw((3, 6))),
    "einsum": einsum("bhid, bhjd -> bhij", (2, 2, 5, 6), (2, 2, 3, 6)),
    "einsum implied": einsum("bi,ij", (4, 6), (6, 3)),
    "einsum of any rank": einsum("...ij,jk->...ik", (4, 2, 5, 6), (6, 3)),
    "einsum of three": einsum("bi,ij,jk->bk", (4, 6), (6, 5), (5, 3)),
    "einsum with an outer": einsum("bi,j->bij", (4, 6), (3,)),
    "einsum, broadcast": einsum("bi,ij->bj", (4, 1), (6, 3)),
    "attention": lambda draw: F.scaled_dot_product_attention(
        *(draw(s) for s in ((2, 2, 5, 6), (2, 2, 7, 6), (2, 2, 7, 3)))
    ),
    "causal": lambda draw: F.scaled_dot_product_attention(
        draw((2, 5, 6)), draw((2, 5, 6)), draw((2, 5, 6)), is_causal=True, scale=0.9
    ),
    "masked": lambda draw: F.scaled_dot_product_attention(
        draw((2, 5, 6)), draw((2, 7, 6)), draw((2, 7, 6)), attn_mask=torch.eye(5, 7) > 0
    ),
    "conv1d": lambda draw: F.conv1d(draw((4, 2, 9)), draw((4, 1, 3)), draw((4,)), groups=2),
    "conv2d": lambda draw: F.conv2d(draw((3, 4, 6, 6)), draw((6, 2, 3, 3)), None, 2, 1, 1, 2),
    "conv2d of one": lambda draw: F.conv2d(draw((4, 6, 6)), draw((6, 4, 3, 3)), draw((6,))),
    "conv3d": lambda draw: F.conv3d(draw((2, 2, 4, 4, 4)), draw((3, 2, 2, 2, 2)), padding=1),
}

if "enable_gqa" in (F.scaled_dot_product_attention.__doc__ or ""):  # since torch 2.5
    PRODUCTS["grouped queries"] = lambda draw: F.scaled_dot_product_attention(
        draw((2, 4, 5, 6)), draw((2, 2, 7, 6)), draw((2, 2, 7, 6)), enable_gqa=True
    )

NOT_CHECKED = {
    "a dot": lambda draw: draw((6,)) @ draw((6,)),
    "elements": einsum("ij,ij->ij", (4, 6), (4, 6)),
    "a trace": einsum("ii->", (4, 4)),
    "in place": lambda draw: draw((4, 3)).addmm_(draw((4, 6)), draw((6, 3))),
    "out": lambda draw: torch.mm(draw((4, 6)), draw((6, 3)), out=torch.empty(4, 3)),
    "complex": lambda draw: draw((4, 6)).to(torch.complex64) @ draw((6, 3)).to(torch.complex64),
    "integers": lambda draw: draw((4, 6)).long() @ draw((6, 3)).long(),
    "dropout": lambda draw: F.scaled_dot_product_attention(
        draw((2, 5, 6)), draw((2, 5, 6)), draw((2, 5, 6)), dropout_p=0.5
    ),
    "a sum": lambda draw: draw((4, 3)) + draw((4, 3)),
}


class Seen(TorchFunctionMode):
    """The calls of products."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if product(func):
            self.calls.append((func, args, kwargs or {}, result))
        return result


def calls_of(run, dtype=torch.float32, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)

    def draw(shape):
        return (torch.randn(shape, generator=generator) * scale).to(dtype)

    with Seen() as seen:
        run(draw)
    return seen.calls


def wrong(call, result=None):
    func, args, kwargs, golden = call
    gaps = gaps_of(func, args, kwargs, golden if result is None else result)
    return gaps and gaps.wrong()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_sums_up_and_no_struck_one_does(name, dtype):
    (call,) = calls_of(PRODUCTS[name], dtype)
    golden = call[-1]
    assert not wrong(call).any()
    for index in range(0, golden.numel(), 1 + golden.numel() // 8):
        for change in (lambda v: v + 8 * golden.abs().max() + 8, lambda v: v * torch.nan):
            struck = golden.clone()
            struck.view(-1)[index] = change(struck.view(-1)[index])
            assert int(wrong(call, struck).sum()) == 1


@pytest.mark.parametrize("name", NOT_CHECKED)
def test_what_has_no_sums_is_let_through(name):
    assert all(wrong(call) is None for call in calls_of(NOT_CHECKED[name]))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(PRODUCTS)),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    st.integers(0, 1 << 30),
    st.sampled_from([1e-42, 1e-20, 1e-3, 1.0, 30.0]),
)
def test_no_product_is_wrong_without_a_fault(name, dtype, seed, scale):
    (call,) = calls_of(PRODUCTS[name], dtype, seed, scale)
    assert not wrong(call).any()


def test_what_is_beyond_the_format_is_not_known():
    big = torch.full((2, 8), 3e4, dtype=torch.float16)
    with Seen() as seen:
        big @ big.mT
        torch.full((2, 2), torch.inf) @ torch.ones(2, 2)
    assert not any(wrong(call).any() for call in seen.calls)


def test_tensors_of_ones_own_are_let_through():
    class Own(torch.Tensor):
        pass

    assert (
        gaps_of(torch.mm, (torch.eye(2).as_subclass(Own), torch.eye(2)), {}, torch.eye(2)) is None
    )


def test_products_under_autocast_sum_up():
    layer = functools.partial(F.linear, weight=nn.Linear(64, 8).weight)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Seen() as seen:
        assert layer(torch.randn(4, 64)).dtype == torch.bfloat16
    (call,) = seen.calls
    assert not wrong(call).any()
