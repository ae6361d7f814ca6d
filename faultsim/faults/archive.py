"""Fault sets as ``.npz``: an array for each column, for sets of millions.

``index``, ``mask``, ``sample``, ``step`` and ``random`` are int64 as :class:`FaultSet` has them, of
one value where all are alike. ``site`` and ``op`` are positions in the lists of ``header``, a JSON
text as bytes: ``{"sites": {name: {kind, dtype, shape, …}}, "ops": [names]}``, with sites as in a
fault file. ``operand`` holds bit patterns; of operators that compute with numbers, of float64.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError, shown
from faultsim.faults.file import SiteRecord, Sites, site_json
from faultsim.faults.site import Site
from faultsim.files import Record, decode, replacing
from faultsim.ops.operators import check_op, number_of, numbered, operator_of, path_of

Ints = npt.NDArray[np.int64]
SUFFIX = ".npz"
COLUMNS = ("site", "index", "mask", "op", "operand", "sample", "step", "random")


class Header(Record):
    """What the positions in ``site`` and ``op`` stand for."""

    sites: dict[str, SiteRecord]
    ops: list[str]


def write(path: Path, sites: Sequence[Site], columns: Mapping[str, Ints]) -> None:
    """Writes a fault set whole or not at all.

    Raises:
        FaultError: The file cannot be written.
    """
    numbers, op = np.unique(columns["op"], return_inverse=True)
    ops = [path_of(numbered(number)) for number in numbers.tolist()]
    header = {"sites": {site.name: site_json(site) for site in sites}, "ops": ops}
    told = np.frombuffer(json.dumps(header).encode(), np.uint8)
    arrays = {name: _short(column) for name, column in {**columns, "op": op}.items()}
    with replacing(path, FaultError) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, header=told, **arrays)


def read(path: Path, known: Iterable[Site] = ()) -> tuple[list[Site], tuple[Ints, ...]]:
    """The sites and columns of a file, which are not checked yet.

    Args:
        path: Of the file.
        known: Sites of a model, which those of the file must be.

    Raises:
        FaultError: It cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as whole, np.load(whole, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("header", *COLUMNS)}
    except KeyError as error:
        raise FaultError(f"{path} holds no fault set: it lacks {error.args[0]}") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise FaultError(f"cannot read {path}: {reason}") from None
    header = decode(arrays.pop("header").tobytes(), Header, f"{path}: header", FaultError)
    columns = {name: _whole(path, name, array) for name, array in arrays.items()}
    columns["op"] = _operators(path, header.ops)[_positions(path, columns["op"], header.ops)]
    table = Sites(known)
    table.add(header.sites, str(path))
    return [table[name] for name in header.sites], tuple(columns[name] for name in COLUMNS)


def _short(column: Ints) -> Ints:
    """One value where all are alike."""
    alike = len(column) > 0 and bool((column == column[0]).all())
    return column[0] if alike and len(column) > 1 else column


def _whole(path: Path, name: str, array: npt.NDArray[Any]) -> Ints:
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise FaultError(f"{path}: {name} is {array.dtype} {shown(array.shape)}, no whole numbers")
    return array.astype(np.int64)


def _positions(path: Path, column: Ints, ops: Sequence[str]) -> Ints:
    if column.size and not 0 <= column.min() <= column.max() < len(ops):
        raise FaultError(f"{path}: op runs from 0 to {len(ops) - 1}")
    return column


def _operators(path: Path, names: Sequence[str]) -> Ints:
    """The number in this process of each operator."""
    try:
        for name in names:
            check_op(name)
    except ValueError as error:
        raise FaultError(f"{path}: {error}") from None
    return np.array([number_of(operator_of(name)) for name in names], np.int64)
