"""Operators of whole words against exact arithmetic, in every format and layout, and in states."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
import torch

from faultsim import ops
from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError
from faultsim.faults import OPS, Fault, Site
from faultsim.formats import Format, signed
from faultsim.ops.sampling import random_words
from faultsim.ops.words import apply_

OPERANDS = {
    "random": 0,
    "zero": 0,
    "set": 0.7,
    "add": 3.3,
    "scale": -1.7,
    "gaussian": 0.5,
    "byte-shift": 1,
}
LAYOUTS = {
    "contiguous": lambda t: t,
    "transposed": lambda t: t.t(),
    "strided view": lambda t: t.new_empty(*t.shape, 2)[..., 1].copy_(t),
}
assert OPERANDS.keys() == set(OPS[4:]), "every operator has an oracle"


@cache
def values_of(fmt: Format) -> dict[int, float]:
    """The finite values of a floating format by bit pattern: of all words of 8 or 16 bits."""
    words = torch.arange(1 << fmt.bits).to(fmt.word).view(fmt.dtype).double()
    return {word: value for word, value in enumerate(words.tolist()) if math.isfinite(value)}


def made(op: str, value: float, operand: float, random: int) -> float:
    """The result in float64 that the operator describes."""
    if op == "gaussian":
        quantile = ((random & (1 << 64) - 1) >> 11) + 0.5
        operand = 1 + operand * NormalDist().inv_cdf(quantile / 2**53)
    return {"set": operand, "add": value + operand}.get(op, value * operand)


def nearest(fmt: Format, number: float) -> int | None:
    """The word nearest to a number, ties to even, by exact arithmetic; None for a NaN."""
    low, high = -(1 << fmt.bits - 1) if fmt.signed else 0, (1 << fmt.bits - fmt.signed) - 1
    if not fmt.is_float:
        whole = 0 if math.isnan(number) else min(max(round(Fraction(number)), low), high)
        return signed(whole, fmt.bits)
    if fmt.dtype in (torch.float64, torch.float32):  # their conversion rounds once
        word = torch.tensor(number, dtype=torch.float64).to(fmt.dtype).view(fmt.word)
        return None if math.isnan(number) else int(word)
    known = values_of(fmt)
    if math.isnan(number):
        return None
    if math.isfinite(number):
        exact = Fraction(number)
        top = max(known, key=known.__getitem__)
        below = known.get(top - 1, 0.0)
        beyond = Fraction(known[top]) + (Fraction(known[top]) - Fraction(below))
        half = (Fraction(known[top]) + beyond) / 2
        if abs(exact) < half or (abs(exact) == half and top % 2 == 0):
            # Equal values and ties: the even word; the sign of a zero is that of the number.
            sign = 1 if math.copysign(1, number) < 0 else 0
            distance = np.abs(np.array(list(known.values())) - number)
            near = np.flatnonzero(distance <= distance.min() * (1 + 1e-9))  # exactly, below
            best = min(
                np.array(list(known))[near].tolist(),
                key=lambda word: (
                    abs(Fraction(known[word]) - exact),
                    word % 2,
                    word >> (fmt.bits - 1) != sign,
                ),
            )
            return signed(best, fmt.bits)
    infinite = torch.tensor(math.copysign(math.inf, number)).to(fmt.dtype)
    return None if math.isnan(float(infinite)) else int(infinite.view(fmt.word))


def expected(fmt: Format, op: str, word: int, operand: float, random: int) -> int | None:
    """The word after, as a signed pattern; None for any NaN."""
    bits = word & (1 << fmt.bits) - 1
    if op in ("random", "zero", "byte-shift"):
        new = {"random": random, "zero": 0, "byte-shift": bits << 8}[op]
        return signed(new, fmt.bits)
    return nearest(fmt, made(op, float(fmt.value(word)), operand, random))


def words_for(fmt: Format, n: int) -> torch.Tensor:
    """(4, n / 4) random words of moderate size, and the ends of the format among them."""
    rng = np.random.default_rng(fmt.bits)
    raw = torch.from_numpy(rng.integers(-(2**63), 2**63, n)).to(fmt.word)
    if fmt.bits == 64:  # integers that float64 holds
        raw = raw & (1 << 52) - 1 if not fmt.is_float else raw
    raw[:4] = torch.tensor([0, -1, 1, signed(1 << fmt.bits - 1, fmt.bits)]).to(fmt.word)
    if fmt.bits == 64 and not fmt.is_float:
        raw[[1, 3]] = 5
    return raw.view(fmt.dtype).view(4, -1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", OPERANDS)
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_operators_match_exact_arithmetic_and_restore(device, fmt, op, layout):
    n = 24
    plain = words_for(fmt, n)
    tensor = LAYOUTS[layout](plain.to(device, copy=True))
    index = np.arange(n)[::2]
    random = random_words(len(index), 5, 1, 0).numpy()
    before = tensor.contiguous().view(fmt.word).flatten().tolist()

    saved = apply_(tensor, index, op, OPERANDS[op], random=random)

    after = tensor.contiguous().view(fmt.word).flatten().tolist()
    for place, draw in zip(index, random, strict=True):
        truth = expected(fmt, op, before[place], OPERANDS[op], int(draw))
        if truth is None:
            assert math.isnan(fmt.value(after[place]))
        elif op == "gaussian" and fmt.bits == 64:  # the oracle's logarithm is another
            assert fmt.value(after[place]) == pytest.approx(fmt.value(truth), rel=1e-14)
        else:
            assert after[place] == truth, (fmt.value(before[place]), fmt.value(after[place]))
    assert [after[i] for i in range(1, n, 2)] == before[1::2]
    ops.restore_(tensor, index, saved)
    assert tensor.contiguous().view(fmt.word).flatten().tolist() == before


@pytest.mark.parametrize("op", OPERANDS)
def test_a_fault_tells_what_the_kernel_does(device, op):
    site = Site("w", "weights", "float16", (6,))
    tensor = torch.tensor([1.0, -2.5, 3e-6, 65504, math.inf, 0.1], dtype=torch.float16)
    words = tensor.view(torch.int16).tolist()
    fault = Fault(site, 0, 0x7F0F, op, OPERANDS[op], random=77 << 50)
    told = [fault.corrupt(word) for word in words]
    struck = tensor.to(device)
    apply_(struck, range(6), op, OPERANDS[op], mask=0x7F0F, random=77 << 50)
    assert struck.view(torch.int16).tolist() == told
    assert all((new ^ old) & ~0x7F0F == 0 for new, old in zip(told, words, strict=True))


def test_a_nan_stays_the_nan_it_was(device):
    words = [0x7F800001, 0x7FC12345, signed(0xFFA00000, 32)]
    tensor = torch.tensor(words, dtype=torch.int32, device=device).view(torch.float32)
    apply_(tensor, range(3), "scale", -2.0)
    assert tensor.view(torch.int32).tolist() == words


def test_gaussian_factors_are_normal():
    tensor = torch.ones(20000, dtype=torch.float64)
    apply_(tensor, range(20000), "gaussian", 1.0, random=random_words(20000, 3, 0, 0))
    ranks = torch.sort(tensor - 1).values
    normal = torch.tensor([NormalDist().inv_cdf((n + 0.5) / 20000) for n in range(20000)])
    assert (NormalDist().cdf(0), len(ranks)) == (0.5, 20000)
    below = torch.searchsorted(ranks, normal.double()) / 20000
    assert (below - (torch.arange(20000) + 0.5) / 20000).abs().max() < 1.63 / math.sqrt(20000)


@pytest.mark.parametrize("op", OPS)
def test_flushing_subnormals_changes_no_operator(op):
    tensor = torch.tensor([5e-324, 1e-310], dtype=torch.float64)
    plain = tensor.clone()
    apply_(plain, [0, 1], op, 1)
    torch.set_flush_denormal(True)
    try:
        apply_(tensor, [0, 1], op, 1)
    finally:
        torch.set_flush_denormal(False)
    assert torch.equal(tensor.view(torch.int64), plain.view(torch.int64))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"op": "add"}, "add needs an operand"),
        ({"op": "byte-shift", "operand": 8}, "byte-shift: operand 8 is out of range"),
        ({"op": "byte-shift", "operand": 0.5}, "must be a whole number"),
        ({"op": "scale", "operand": "2"}, "operand of scale must be a number, not '2'"),
        ({"op": "set", "operand": True}, "must be a number, not True"),
        ({"op": "zero", "random": 1 << 64}, "random 18446744073709551616 is out of range"),
    ],
)
def test_what_no_operator_takes(settings, message):
    with pytest.raises(FaultError, match=message):
        Fault(Site("w", "weights", "float32", (3,)), 0, **settings)


def test_text_reads_as_people_say_it():
    site = Site("w", "weights", "float32", (3,))
    assert str(Fault(site, 1, op="add", operand=0.5)) == "w[1] add 0.5"
    assert str(Fault(site, 1, op="zero")) == "w[1] zero"
    assert str(Fault(site, 1, bit="exponent", op="random")) == "w[1] bits 23-30 (exponent) random"
    assert str(Fault("w", 1, op="byte-shift", operand=-1)) == "w[1] byte-shift -1"
