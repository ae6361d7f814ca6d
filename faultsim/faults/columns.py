"""The columns of a fault set, checked where they are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError, shown
from faultsim.faults.fault import Fault
from faultsim.faults.site import Site

Ints = npt.NDArray[np.int64]


def listed_faults(faults: Fault | Iterable[Fault]) -> list[Fault]:
    """Raises FaultError for what is no fault and none of several."""
    if isinstance(faults, Fault):
        return [faults]
    listed = list(faults) if isinstance(faults, Iterable) else [faults]
    for fault in listed:
        if not isinstance(fault, Fault):
            raise FaultError(f"a fault set holds Faults, not {shown(fault)}")
    return listed


def whole_columns(columns: dict[str, Any]) -> tuple[Ints, ...]:
    """Each column as int64: integers as they are, unsigned ones as bit patterns, nothing rounded.

    Raises:
        FaultError: Other numbers, another shape than ``index``, or no numbers.
    """
    made = {name: whole_column(name, column) for name, column in columns.items()}
    index = made["index"]
    if index.ndim == 0:
        made["index"] = index.reshape(1)
    for name, column in made.items():
        if column.ndim > 1 or (column.ndim and column.shape != made["index"].shape):
            raise FaultError(
                f"{name} has the shape {list(column.shape)}, but index {list(index.shape)}"
            )
    return tuple(made.values())


def whole_column(name: str, column: Any) -> Ints:
    """One column as int64; errors as :func:`whole_columns`."""
    try:
        array = np.asarray(column)
    except (TypeError, ValueError, RuntimeError):
        raise FaultError(f"{name} must hold whole numbers, not {shown(column)}") from None
    if array.size and array.dtype.kind not in "iu":
        raise FaultError(f"{name} must hold whole numbers of at most 64 bits, not {array.dtype}")
    if name not in ("mask", "operand", "random") and array.size and int(array.max()) >= 1 << 63:
        raise FaultError(f"{name} {array.max()} is out of range")
    return array.astype(np.int64)


def too_wide(mask: Ints, widths: Ints) -> npt.NDArray[np.bool_]:
    """Whether a mask has bits beyond its word; sign extension is allowed."""
    beyond = mask >> np.minimum(widths, 63)
    extended = (beyond == -1) & ((mask >> (widths - 1)) == -1)
    return np.asarray((widths < 64) & (beyond != 0) & ~extended, dtype=np.bool_)


def popcount(mask: Ints) -> Ints:
    """How many bits of each mask are set."""
    bits = np.unpackbits(np.ascontiguousarray(mask).view(np.uint8)).reshape(-1, 64)
    return np.asarray(bits.sum(axis=1, dtype=np.int64))


def masks_from(mask: Any, bit: Any, sites: Sequence[Site], site: Ints) -> Ints:
    """The masks of a column of masks or of bits; of neither, all bits of each word.

    Raises:
        FaultError: Both are given, or a bit that no word has.
    """
    if mask is not None and bit is not None:
        raise FaultError("give the bits struck by mask or by bit, not by both")
    if mask is not None:
        return whole_column("mask", mask)
    widths = np.array([one.format.bits for one in sites], np.int64)[site]
    if bit is None:
        ones = np.where(widths < 64, (np.int64(1) << np.minimum(widths, 62)) - 1, -1)
        return np.asarray(ones, np.int64)
    bits = whole_column("bit", bit)
    if bits.ndim and widths.ndim and bits.shape != widths.shape:
        raise FaultError(f"bit has the shape {list(bits.shape)}, but names {list(widths.shape)}")
    each, wide = np.broadcast_arrays(bits, widths)
    beyond = np.flatnonzero((each < 0) | (each >= wide))
    if len(beyond):
        raise FaultError(f"bit {each.flat[beyond[0]]} is none of {wide.flat[beyond[0]]} in a word")
    return np.asarray(np.int64(1) << bits, np.int64)
