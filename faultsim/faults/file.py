"""Faults as JSON: the fault files people write, and the records of a journal line.

A record has ``tensor``, ``index`` (row-major, or a list of coordinates), ``bit`` or ``mask``, and
optionally ``op``, ``operand``, ``sample`` and ``step``. A fault file is a list of records, or
``{"sites": {name: {kind, dtype, shape}}, "faults": [records]}``, which needs no model to read; the
sites of states have ``steps`` too; where samples do not lie along the leading dimension alone,
``axis``, ``outer`` and ``inner`` say where (:class:`faultsim.faults.Site`).
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from faultsim.errors import FaultError, FormatError
from faultsim.faults.fault import Fault, Site
from faultsim.formats import mask_of, signed


def dump(sites: Iterable[Site], faults: Iterable[Fault]) -> str:
    """The document of the given faults with their site table."""
    table = {site.name: _site_json(site) for site in sites}
    return json.dumps({"sites": table, "faults": [record(fault) for fault in faults]}, indent=1)


def load(text: str, sites: Iterable[Site] = ()) -> list[Fault]:
    """The faults of a document; ``sites`` are those its records may name besides its own.

    Raises:
        FaultError: Not JSON, an unknown tensor, or a record that cannot be a fault.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise FaultError(f"fault file is not JSON: {error}") from None
    table = {site.name: site for site in sites}
    if isinstance(document, dict):
        own = document.get("sites", {})
        if not isinstance(own, dict):
            raise FaultError("the sites of a fault file must map names to kind, dtype and shape")
        table |= {name: _parse_site(name, site) for name, site in own.items()}
        document = document.get("faults")
    if not isinstance(document, list):
        raise FaultError('a fault file holds a list of faults, or {"sites": …, "faults": […]}')
    return [_parse_record(item, table) for item in document]


def _site_json(site: Site) -> dict[str, Any]:
    table: dict[str, Any] = {"kind": site.kind, "dtype": site.dtype, "shape": list(site.shape)}
    where = {"steps": site.steps, "axis": site.axis, "outer": site.outer, "inner": site.inner}
    usual = {"steps": 0, "axis": 0, "outer": 1, "inner": 1}
    table |= {key: value for key, value in where.items() if value != usual[key]}
    return table if site.per_sample else table | {"per_sample": False}


def _parse_site(name: str, table: Any) -> Site:
    try:
        per_sample = bool(table.get("per_sample", True))
        shape, steps = tuple(table["shape"]), operator.index(table.get("steps", 0))
        site = Site(
            name,
            table["kind"],
            table["dtype"],
            shape,
            per_sample,
            steps,
            operator.index(table.get("axis", 0)),
            operator.index(table.get("outer", 1)),
            operator.index(table.get("inner", 1)),
        )
        site.format  # noqa: B018 - an unknown dtype is an error here, not at first use
    except (KeyError, TypeError, AttributeError, FormatError) as error:
        raise FaultError(f"site {name!r} in the fault file cannot be read: {error}") from None
    return site


def record(fault: Fault) -> dict[str, Any]:
    """One fault as a JSON-able mapping, defaults left out."""
    item: dict[str, Any] = {"tensor": fault.tensor, "index": fault.index, "mask": fault.mask}
    item["op"] = fault.op
    if fault.op == "replace":
        item["operand"] = fault.operand
    optional = {"sample": fault.sample, "step": fault.step}
    return item | {key: value for key, value in optional.items() if value is not None}


def _parse_record(item: Any, sites: dict[str, Site]) -> Fault:
    if not isinstance(item, dict) or not {"tensor", "index"} <= item.keys():
        raise FaultError(f"a fault needs tensor, index and bit or mask, not {json.dumps(item)}")
    if item["tensor"] not in sites:
        raise FaultError(f"fault names {item['tensor']!r}, which is not a site of this model")
    site = sites[item["tensor"]]
    try:
        index = item["index"]
        if isinstance(index, list):
            index = np.ravel_multi_index(tuple(index), site.shape)
        index = operator.index(index)
        op = item.get("op", "flip")
        operand = signed(item.get("operand") or 0)
        sample, step = (_parse_number(item.get(key)) for key in ("sample", "step"))
        return Fault(site, index, _parse_mask(item, site), op, operand, sample, step)
    except (TypeError, ValueError, FormatError) as error:
        raise FaultError(f"fault {json.dumps(item)} cannot be read: {error}") from None


def _parse_number(value: Any) -> int | None:
    number = None if value is None else operator.index(value)
    if number is not None and number < 0:
        raise ValueError(f"{number} is negative")
    return number


def _parse_mask(item: dict[str, Any], site: Site) -> int:
    if "mask" in item:
        return signed(item["mask"])
    if item.get("op") == "replace":
        return mask_of(site.format.select("all"))
    if "bit" not in item:
        raise FaultError(f"fault {json.dumps(item)} has neither bit nor mask")
    return mask_of(site.format.select(int(item["bit"])))
