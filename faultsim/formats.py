"""Bit formats of tensor words: which bits are sign, exponent and mantissa.

Bit 0 is the least significant. Patterns are the words read as integers; they cross every
interface as signed int64. Float layouts follow IEEE 754-2019 and, for the 8-bit formats, the
OCP 8-bit Floating Point Specification 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from faultsim.errors import FormatError

BitSpec = str | int | Iterable[int]
"""A field name, a bit, a range ``"23-30"``, a comma-separated mix of those, or bit numbers."""

_WORDS = {8: torch.int8, 16: torch.int16, 32: torch.int32, 64: torch.int64}


@dataclass(frozen=True)
class Format:
    """The layout of one dtype's word.

    Attributes:
        dtype: The torch dtype.
        bits: Word size in bits: 8, 16, 32 or 64.
        exponent: Number of exponent bits; 0 for integers.
        signed: Whether the top bit is a sign.
    """

    dtype: torch.dtype
    bits: int
    exponent: int = 0
    signed: bool = True

    @property
    def name(self) -> str:
        """The dtype's name without ``torch.``: ``"float32"``."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def is_float(self) -> bool:
        return self.exponent > 0

    @property
    def word(self) -> torch.dtype:
        """The signed integer dtype of the same size, for bit-exact views."""
        return _WORDS[self.bits]

    @property
    def fields(self) -> dict[str, range]:
        """Bits of each field, least significant field first; empty fields are left out."""
        low = self.bits - self.signed
        split = low - self.exponent
        fields = (
            {"mantissa": range(split), "exponent": range(split, low)}
            if self.is_float
            else {"magnitude": range(low)}
        ) | {"sign": range(low, self.bits)}
        return {name: bits for name, bits in fields.items() if bits}

    def field(self, bit: int) -> str:
        """The name of the field that holds ``bit``.

        Raises:
            FormatError: The word has no such bit.
        """
        for name, bits in self.fields.items():
            if bit in bits:
                return name
        raise FormatError(f"{self.name} has bits 0 to {self.bits - 1}, not bit {bit}")

    def select(self, spec: BitSpec = "all") -> tuple[int, ...]:
        """The bits that ``spec`` names, in ascending order.

        Raises:
            FormatError: ``spec`` cannot be read, or names a bit or field this dtype lacks.
        """
        if isinstance(spec, int):
            spec = [spec]
        if not isinstance(spec, Iterable):
            raise FormatError(f"bits {spec!r} not understood: use a name, a bit, or a list of bits")
        items = spec.split(",") if isinstance(spec, str) else [str(bit) for bit in spec]
        bits = sorted({bit for item in items for bit in self._item(item.strip())})
        if not bits:
            raise FormatError(f"no bits selected for {self.name}")
        self.field(bits[0])
        self.field(bits[-1])
        return tuple(bits)

    def _item(self, item: str) -> Iterable[int]:
        if item == "all":
            return range(self.bits)
        if item in self.fields:
            return self.fields[item]
        if item in ("sign", "exponent", "mantissa", "magnitude"):
            raise FormatError(f"{self.name} has no {item} bits")
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", item)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if low > high:
            raise FormatError(
                f"bits {item!r} not understood: use all, sign, exponent, mantissa, a bit (30) "
                "or a range (23-30)"
            )
        self.field(high)
        return range(low, high + 1)

    def value(self, pattern: int) -> float | int:
        """The number whose word is ``pattern`` (an int64, signed or not)."""
        word = torch.tensor([signed(pattern, self.bits)], dtype=self.word).view(self.dtype)
        number: float | int = (word.double() if self.is_float else word).item()
        return number


def _newer(name: str, bits: int, exponent: int, signed: bool = True) -> list[Format]:
    """The format of a dtype that not every supported torch has."""
    dtype = getattr(torch, name, None)
    return [] if dtype is None else [Format(dtype, bits, exponent, signed)]


FORMATS: dict[torch.dtype, Format] = {
    fmt.dtype: fmt
    for fmt in (
        Format(torch.float64, 64, exponent=11),
        Format(torch.float32, 32, exponent=8),
        Format(torch.float16, 16, exponent=5),
        Format(torch.bfloat16, 16, exponent=8),
        Format(torch.float8_e4m3fn, 8, exponent=4),
        Format(torch.float8_e4m3fnuz, 8, exponent=4),
        Format(torch.float8_e5m2, 8, exponent=5),
        Format(torch.float8_e5m2fnuz, 8, exponent=5),
        *_newer("float8_e8m0fnu", 8, exponent=8, signed=False),
        Format(torch.int8, 8),
        Format(torch.uint8, 8, signed=False),
        Format(torch.int16, 16),
        Format(torch.uint16, 16, signed=False),
        Format(torch.int32, 32),
        Format(torch.uint32, 32, signed=False),
        Format(torch.int64, 64),
        Format(torch.uint64, 64, signed=False),
    )
}
"""Every dtype of a word. Quantised and complex tensors are struck through views of these dtypes
(:func:`faultsim.targets.words.words_of`); bool has no format."""


def format_of(dtype: torch.dtype | str) -> Format:
    """The format of ``dtype``, given as a torch dtype or its name.

    Raises:
        FormatError: No bit format is defined for the dtype.
    """
    key = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if key in FORMATS:
        return FORMATS[key]
    known = ", ".join(fmt.name for fmt in FORMATS.values())
    raise FormatError(f"{str(dtype).removeprefix('torch.')} has no bit format; known are {known}")


def signed(pattern: int, bits: int = 64) -> int:
    """``pattern`` as a two's-complement integer of ``bits`` bits."""
    pattern &= (1 << bits) - 1
    return pattern - (1 << bits) if pattern >> (bits - 1) else pattern


def mask_of(bits: Iterable[int]) -> int:
    """The signed int64 mask with the given bits set."""
    return signed(sum(1 << bit for bit in bits))


def bits_of(mask: int) -> tuple[int, ...]:
    """The bits set in an int64 mask, ascending."""
    mask &= (1 << 64) - 1
    return tuple(bit for bit in range(64) if mask >> bit & 1)
