"""Bit formats of tensor words: which bits are sign, exponent and mantissa.

Bit 0 is the least significant. Patterns are the words read as integers; they cross every
interface as signed int64. Float layouts follow IEEE 754-2019 and, for the 8-bit formats, the
OCP 8-bit Floating Point Specification 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from faultsim.errors import FormatError

if TYPE_CHECKING:
    import torch

BitSpec = str | int | Iterable[int]
"""A field name, a bit, a range ``"23-30"``, a comma-separated mix of those, or bit numbers."""


@dataclass(frozen=True)
class Format:
    """The layout of one dtype's word.

    Attributes:
        name: The dtype's, without ``torch.``: ``"float32"``.
        bits: Word size in bits: 8, 16, 32 or 64.
        exponent: Number of exponent bits; 0 for integers.
        signed: Whether the top bit is a sign.
    """

    name: str
    bits: int
    exponent: int = 0
    signed: bool = True

    @cached_property
    def dtype(self) -> torch.dtype:
        """The torch dtype.

        Raises:
            FormatError: This torch has none of the name.
        """
        import torch

        found = getattr(torch, self.name, None)
        if not isinstance(found, torch.dtype):
            raise FormatError(f"torch {torch.__version__} has no {self.name}")
        return found

    @property
    def is_float(self) -> bool:
        return self.exponent > 0

    @cached_property
    def word(self) -> torch.dtype:
        """The signed integer dtype of the same size, for bit-exact views."""
        return KNOWN[f"int{self.bits}"].dtype

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
        import torch

        word = torch.tensor([signed(pattern, self.bits)], dtype=self.word).view(self.dtype)
        number: float | int = (word.double() if self.is_float else word).item()
        return number


KNOWN = {
    fmt.name: fmt
    for fmt in (
        Format("float64", 64, exponent=11),
        Format("float32", 32, exponent=8),
        Format("float16", 16, exponent=5),
        Format("bfloat16", 16, exponent=8),
        Format("float8_e4m3fn", 8, exponent=4),
        Format("float8_e4m3fnuz", 8, exponent=4),
        Format("float8_e5m2", 8, exponent=5),
        Format("float8_e5m2fnuz", 8, exponent=5),
        Format("float8_e8m0fnu", 8, exponent=8, signed=False),  # not every supported torch has it
        Format("int8", 8),
        Format("uint8", 8, signed=False),
        Format("int16", 16),
        Format("uint16", 16, signed=False),
        Format("int32", 32),
        Format("uint32", 32, signed=False),
        Format("int64", 64),
        Format("uint64", 64, signed=False),
    )
}
"""Every dtype of a word, by name. Quantised and complex tensors are struck through views of these
dtypes (:func:`faultsim.targets.words.words_of`); bool has no format."""


def format_of(dtype: torch.dtype | str) -> Format:
    """The format of ``dtype``, given as a torch dtype or its name.

    Raises:
        FormatError: No bit format is defined for the dtype.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in KNOWN:
        raise FormatError(f"{name} has no bit format; known are {', '.join(KNOWN)}")
    return KNOWN[name]


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
