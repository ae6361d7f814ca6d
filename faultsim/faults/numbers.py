"""The numbers of a fault, checked where it is made: nothing is rounded, no bool is a number."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any, SupportsIndex

import numpy as np

from faultsim.errors import FaultError, shown
from faultsim.formats import BitSpec, Format, bits_of, mask_of, signed
from faultsim.ops.operators import Op, Operand, needs_operand, strikes_bits, takes_number

Index = SupportsIndex | Iterable[SupportsIndex]
"""A row-major position, or coordinates."""

WHOLE_WORD = -1
"""The mask of all bits, of whatever word."""


def whole(value: Any, what: str, low: int = 0, high: int = (1 << 63) - 1) -> int:
    """An integer of Python, NumPy or torch, within bounds.

    Raises:
        FaultError: It is none, or out of bounds.
    """
    if not isinstance(value, bool | np.bool_ | np.ndarray):
        try:
            number = operator.index(value)
        except TypeError:
            pass
        else:
            if low <= number <= high:
                return number
            raise FaultError(f"{what} {shown(number)} is out of range")
    raise FaultError(f"{what} must be a whole number, not {shown(value)}")


def pattern(value: Any, what: str) -> int:
    """A bit pattern of at most 64 bits, signed or not, as int64."""
    return signed(whole(value, what, -(1 << 63), (1 << 64) - 1))


def operand_from(value: Any, op: Op) -> Operand:
    """An operand as an operator takes it: a float64, a number of bytes, or a bit pattern.

    Raises:
        FaultError: It is none, or lacks.
    """
    if value is None:
        if needs_operand(op):
            raise FaultError(f"{op} needs an operand")
        value = 0
    if op == "byte-shift":
        return whole(value, "byte-shift: operand", -7, 7)
    if not takes_number(op):
        return pattern(value, "operand")
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real | np.number):
        raise FaultError(f"the operand of {op} must be a number, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise FaultError(f"the operand of {op} must be a float64, not {shown(value)}") from None


def position(index: Any) -> int | tuple[int, ...]:
    """A row-major position, or coordinates; a negative position is for the site to refuse."""
    if isinstance(index, list | tuple) or (isinstance(index, np.ndarray) and index.ndim == 1):
        return tuple(whole(number, "coordinate") for number in index)
    return whole(index, "index", low=-(1 << 63))


def flat(index: int | tuple[int, ...], shape: tuple[int, ...], name: str) -> int:
    """The row-major position of an element.

    Raises:
        FaultError: It lies outside the tensor.
    """
    numel = int(np.prod(shape, dtype=np.int64))
    if isinstance(index, int):
        if not 0 <= index < numel:
            raise FaultError(f"index {index} is outside {name} with {numel} elements")
        return index
    if len(index) != len(shape):
        raise FaultError(f"{list(index)} is no element of {name}, whose shape is {list(shape)}")
    if any(number >= size for number, size in zip(index, shape, strict=True)):
        raise FaultError(f"{list(index)} is outside {name}, whose shape is {list(shape)}")
    return int(np.ravel_multi_index(index, shape)) if shape else 0


def mask_from(mask: Any, bit: BitSpec | None, op: Op, fmt: Format | None) -> int:
    """The bits that a fault strikes, as an int64 pattern.

    Args:
        mask: A pattern, or None.
        bit: One or several bits, or where the format is known their names; instead of ``mask``.
        op: One that does not strike bits strikes the whole word without either.
        fmt: The word's, None where it is not known yet.
    """
    if (mask is None) == (bit is None):
        if mask is None and not strikes_bits(op):
            return WHOLE_WORD
        raise FaultError("a fault needs its bits once: either mask= or bit=")
    if bit is None:
        return pattern(mask, "mask")
    if isinstance(bit, str):
        if fmt is None:
            raise FaultError(f"bit={bit!r} needs a Site, whose word has such bits: name a number")
        return mask_of(fmt.select(bit))
    listed = bit if isinstance(bit, Iterable) else [bit]
    return mask_of({whole(number, "bit", high=63) for number in listed})


def fits(word: int, bits: int) -> bool:
    """Whether an int64 pattern is a word of so many bits; sign extension is allowed."""
    beyond = word >> bits
    return beyond == 0 or (beyond == -1 and word >> (bits - 1) == -1)


def narrowed(mask: int, fmt: Format) -> int:
    """The mask without its sign extension.

    Raises:
        FaultError: It is empty, or has bits that the word lacks.
    """
    if mask == 0 or not fits(mask, fmt.bits):
        held = f"mask {mask & (1 << 64) - 1:#x}"
        if len(bits_of(mask)) == 1:
            held = f"bit {bits_of(mask)[0]}"
        raise FaultError(f"{held} is no set of bits of {fmt.name}")
    return signed(mask & (1 << fmt.bits) - 1)
