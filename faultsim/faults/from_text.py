"""Fault files of millions, read into columns without a fault on its own.

What a document has in every record, or in none, is read here. Whatever is otherwise, unusual or
wrong, :mod:`faultsim.faults.file` reads record by record, and knows what it says of which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultSimError
from faultsim.faults.columns import masks_from
from faultsim.faults.file import PlainFile, PlainRecord, Sites, check_operand
from faultsim.faults.numbers import operand_from
from faultsim.faults.site import Site
from faultsim.files import UNFIT, parse
from faultsim.ops.operators import Op, column_of, number_of, operator_of, strikes_bits

Ints = npt.NDArray[np.int64]
Plain = PlainFile | list[PlainRecord]


def columns_of(text: bytes, sites: Iterable[Site]) -> tuple[list[Site], tuple[Ints, ...]] | None:
    """The sites that a document strikes, and its columns, which are not checked yet.

    Args:
        text: Of the document.
        sites: Those that its records may name besides its own.

    Returns:
        None where the document has to be read record by record.
    """
    try:
        document: PlainFile | list[PlainRecord] = parse(text, Plain)  # type: ignore[arg-type]
        table = Sites(sites)
        if not isinstance(document, PlainFile):
            return _columns(document, table)
        table.add(document.sites, "")
        return _columns(document.faults, table)
    except (*UNFIT, TypeError, FaultSimError):
        return None


def _columns(records: list[PlainRecord], table: Sites) -> tuple[list[Site], tuple[Ints, ...]]:
    tensors, names = [one.tensor for one in records], [one.op for one in records]
    homes = {name: table[name] for name in dict.fromkeys(tensors)}
    sites = list(dict.fromkeys(homes.values()))
    numbers = {home: number for number, home in enumerate(sites)}
    site = _looked_up({name: numbers[home] for name, home in homes.items()}, tensors)
    ops = {name: operator_of(name) for name in dict.fromkeys(names)}
    columns = (
        site,
        _whole([one.index for one in records], 0),
        _masks(records, sites, site, any(map(strikes_bits, ops.values()))),
        _looked_up({name: number_of(op) for name, op in ops.items()}, names),
        _operands([one.operand for one in records], names, ops),
        _whole([one.sample for one in records], -1),
        _whole([one.step for one in records], -1),
        _whole([one.random for one in records], 0),
    )
    return sites, columns


def _masks(records: list[PlainRecord], sites: list[Site], site: Ints, needed: bool) -> Ints:
    """By mask or by bit, the same way in all records; all bits where both are left out."""
    mask = _all_or_none([one.mask for one in records])
    bit = _all_or_none([one.bit for one in records])
    if needed and mask is None and bit is None:
        raise ValueError("neither bit nor mask is given")
    return np.broadcast_to(masks_from(mask, bit, sites, site), site.shape)


def _looked_up(table: dict[str, int], names: Sequence[str]) -> Ints:
    return np.fromiter(map(table.__getitem__, names), np.int64, len(names))


def _whole(values: list[Any], left_out: int | None) -> Ints:
    """A column; raises OverflowError for what is no int64, TypeError for what is no number."""
    missing = values.count(None)
    if missing == len(values):
        return np.full(missing, left_out, np.int64)
    told = (left_out if value is None else value for value in values) if missing else values
    return np.fromiter(told, np.int64, len(values))


def _all_or_none(values: list[Any]) -> Ints | None:
    """Nothing where no record has it; raises TypeError where only some have."""
    return None if values.count(None) == len(values) else _whole(values, None)


def _operands(values: list[Any], names: Sequence[str], ops: dict[str, Op]) -> Ints:
    """The column of operands: bit patterns, where numbers are those of float64."""
    if values.count(None) == len(values):
        return _looked_up({name: _operand(None, name, op) for name, op in ops.items()}, names)
    pairs = zip(values, names, strict=True)
    return _whole([_operand(value, name, ops[name]) for value, name in pairs], None)


def _operand(value: Any, name: str, op: Op) -> int:
    check_operand(name, value)
    return column_of(op, operand_from(float(value) if isinstance(value, str) else value, op))
