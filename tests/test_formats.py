"""Bit fields of every dtype."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.dtypes import FORMATS
from faultsim.errors import FormatError
from faultsim.formats import bits_of, format_of, mask_of, signed

ALL = list(FORMATS.values())
FLOATS = [fmt for fmt in ALL if fmt.is_float]


@pytest.mark.parametrize("fmt", ALL, ids=lambda fmt: fmt.name)
def test_fields_share_out_every_bit(fmt):
    bits = [bit for field in fmt.fields.values() for bit in field]
    assert bits == list(range(fmt.bits))
    assert fmt.select("all") == tuple(range(fmt.bits))
    assert format_of(fmt.name) is fmt


@pytest.mark.parametrize("fmt", FLOATS, ids=lambda fmt: fmt.name)
def test_the_least_mantissa_bit_is_a_step_above_one(fmt):
    one = torch.ones(1).to(fmt.dtype).view(fmt.word).item()
    width = len(fmt.fields.get("mantissa", ()))
    assert fmt.value(one) == 1.0
    assert fmt.value(one + 1) == (1 + 2.0**-width if width else 2.0)


BIASES = {"e4m3fn": 7, "e4m3fnuz": 8, "e5m2": 15, "e5m2fnuz": 16}  # of the formats' definitions


def decoded(word: int, kind: str) -> float:
    """A float8 word by its definition: sign, biased exponent, mantissa; what is no number."""
    exponent_bits, mantissa_bits = int(kind[1]), int(kind[3])
    sign, rest = word >> 7, word & 0x7F
    exponent, mantissa = rest >> mantissa_bits, rest & (1 << mantissa_bits) - 1
    if kind.endswith("fnuz"):
        if word == 0x80:
            return math.nan
    elif kind.endswith("fn"):
        if rest == 0x7F:
            return math.nan
    elif exponent == (1 << exponent_bits) - 1:
        return math.nan if mantissa else math.copysign(math.inf, -sign)
    scale = 2.0 ** (max(exponent, 1) - BIASES[kind])
    value = scale * ((exponent > 0) + mantissa / (1 << mantissa_bits))
    return -value if sign else value


@pytest.mark.parametrize("kind", BIASES)
def test_every_float8_word_is_the_number_of_its_definition(kind):
    fmt = format_of(f"float8_{kind}")
    for word in range(256):
        expected, value = decoded(word, kind), fmt.value(word)
        assert (math.isnan(expected) and math.isnan(value)) or value == expected, hex(word)
    assert [len(bits) for bits in fmt.fields.values()] == [int(kind[3]), int(kind[1]), 1]


@pytest.mark.skipif(not hasattr(torch, "float8_e8m0fnu"), reason="newer torch")
def test_every_word_of_the_float8_of_scales_is_a_power_of_two():
    fmt = format_of("float8_e8m0fnu")
    assert fmt.fields == {"exponent": range(8)}
    assert all(fmt.value(word) == 2.0 ** (word - 127) for word in range(255))
    assert math.isnan(fmt.value(255))


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_unsigned_words_are_their_patterns(bits):
    fmt = format_of(f"uint{bits}")
    assert fmt.fields == {"magnitude": range(bits)}
    assert fmt.value(-1) == (1 << bits) - 1


@pytest.mark.parametrize("fmt", [f for f in FLOATS if f.signed], ids=lambda fmt: fmt.name)
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
