"""Fault sets as JSON, from their columns: a text for each fault, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.faults.file import json_number, names_operand, site_json
from faultsim.faults.site import Site
from faultsim.ops.operators import numbered, operand_of, path_of

Ints = npt.NDArray[np.int64]


def dump(sites: Sequence[Site], columns: Mapping[str, Ints]) -> str:
    """The document of a fault set: its site table, and what ``file.record`` says of each fault.

    Args:
        sites: Of the set.
        columns: By name, as :class:`faultsim.faults.FaultSet` has them.
    """
    table = {site.name: site_json(site) for site in sites}
    empty = json.dumps({"sites": table, "faults": []}, indent=1)
    if not len(columns["index"]):
        return empty
    start, _, end = empty.rpartition("[]")
    return "".join((start, "[\n", ",\n".join(_records(sites, columns)), "\n ]", end))


def _records(sites: Sequence[Site], columns: Mapping[str, Ints]) -> Iterable[str]:
    names = [json.dumps(site.name) for site in sites]
    tensors = [names[at] for at in columns["site"].tolist()]
    rests = map("".join, zip(*_rests(columns), strict=True))
    rows = zip(tensors, columns["index"].tolist(), columns["mask"].tolist(), rests, strict=True)
    return [
        f'  {{\n   "tensor": {tensor},\n   "index": {index},\n   "mask": {mask}{rest}\n  }}'
        for tensor, index, mask, rest in rows
    ]


def _rests(columns: Mapping[str, Ints]) -> list[list[str]]:
    """What each record says after its mask, key by key; nothing where all leave a key out."""
    ops = columns["op"].tolist()
    operators = {number: numbered(number) for number in set(ops)}
    told = {number: _pair("op", json.dumps(path_of(op))) for number, op in operators.items()}
    found = [[told[number] for number in ops]]
    if columns["operand"].any() or any(names_operand(op, 0) for op in operators.values()):
        pairs = zip(map(operators.__getitem__, ops), columns["operand"].tolist(), strict=True)
        found.append([_operand(op, operand_of(op, column)) for op, column in pairs])
    for name, left_out in (("sample", -1), ("step", -1), ("random", 0)):
        if (columns[name] != left_out).any():
            values = columns[name].tolist()
            found.append(["" if value == left_out else _pair(name, value) for value in values])
    return found


def _operand(op: Any, operand: Any) -> str:
    told = names_operand(op, operand)
    return _pair("operand", json.dumps(json_number(operand))) if told else ""


def _pair(key: str, value: Any) -> str:
    return f',\n   "{key}": {value}'
