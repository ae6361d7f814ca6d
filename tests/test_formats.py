"""Bit fields of every dtype."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import FormatError
from faultsim.formats import FORMATS, bits_of, format_of, mask_of, signed

ALL = list(FORMATS.values())
FLOATS = [fmt for fmt in ALL if fmt.is_float]


@pytest.mark.parametrize("fmt", ALL, ids=lambda fmt: fmt.name)
def test_fields_share_out_every_bit(fmt):
    bits = [bit for field in fmt.fields.values() for bit in field]
    assert bits == list(range(fmt.bits))
    assert fmt.select("all") == tuple(range(fmt.bits))
    assert format_of(fmt.name) is fmt


@pytest.mark.parametrize("fmt", FLOATS, ids=lambda fmt: fmt.name)
def test_mantissa_width_agrees_with_torch(fmt):
    assert 2.0 ** -len(fmt.fields["mantissa"]) == torch.finfo(fmt.dtype).eps


@pytest.mark.parametrize("fmt", FLOATS, ids=lambda fmt: fmt.name)
def test_sign_flip_negates_one(fmt):
    one = torch.ones(1).to(fmt.dtype).view(fmt.word).item()
    assert fmt.value(one) == 1.0
    assert fmt.value(one ^ mask_of(fmt.select("sign"))) == -1.0


@given(st.sets(st.integers(0, 63)))
def test_masks_and_bits_are_inverse(bits):
    assert set(bits_of(mask_of(bits))) == bits


@given(st.integers(-(2**70), 2**70), st.sampled_from([8, 16, 32, 64]))
def test_signed_keeps_the_pattern(pattern, bits):
    assert (signed(pattern, bits) - pattern) % (1 << bits) == 0
    assert -(1 << bits - 1) <= signed(pattern, bits) < 1 << bits - 1


def test_selections():
    fmt = format_of("float32")
    assert fmt.select("23-30") == fmt.select("exponent") == tuple(range(23, 31))
    assert fmt.select(31) == fmt.select("sign") == (31,)
    assert fmt.select("0,sign,2-3") == fmt.select([31, 0, 2, 3]) == (0, 2, 3, 31)
    assert [fmt.field(bit) for bit in (0, 22, 23, 31)] == ["mantissa"] * 2 + ["exponent", "sign"]


@pytest.mark.parametrize("spec", ["32", "-1", "30-23", "fraction", "", "1-", "2.5", [], [64]])
def test_bits_that_are_not_there_are_refused(spec):
    with pytest.raises(FormatError):
        format_of(torch.float32).select(spec)


def test_integers_have_no_exponent():
    with pytest.raises(FormatError, match="int8 has no exponent"):
        format_of(torch.int8).select("exponent")


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, "quaternion"])
def test_dtypes_without_format(dtype):
    with pytest.raises(FormatError, match="no bit format"):
        format_of(dtype)
