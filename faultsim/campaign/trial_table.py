"""The trials of a journal, and their faults, as columns, for data frames and exports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import UNSET

from faultsim.campaign.lines import Line
from faultsim.campaign.manifest import Manifest
from faultsim.faults.site import Site
from faultsim.formats import bits_of

Columns = dict[str, list[Any]]
"""Columns of one length by name; each of one type, but for None."""

HEAD = ("trial", "flips", "n", "sample", "due", "sdc", "benign", "masked", "raised")
FIGURES = (
    "correct", "max_dev", "loss", "acc", "auc", "sensitivity", "specificity", "missed",
    "false_alarms", "clean_acc",
)  # fmt: skip
FAULT = ("tensor", "index", "mask", "op", "operand", "sample", "step", "random")
SELDOM = ("sample", "raised", "struck", "searching")
"""Columns that are left out where they say nothing of any trial."""


def trial_columns(lines: Sequence[Line]) -> Columns:
    """A row for each trial.

    Labels of conditions keep their names, with ``cell_`` before one that the journal has a column
    of, unless both say the same. So do events and figures of tasks, with ``event_`` and
    ``metric_``. Trials of a search are ``searching``.
    """
    found: Columns = {name: [_of(line, name) for line in lines] for name in (*HEAD, *FIGURES)}
    found["struck"] = ["; ".join(line.struck) if line.struck else None for line in lines]
    found["searching"] = [line.searching for line in lines]
    labels = _spread("cell_", found, [line.cell for line in lines])
    others = _spread("event_", found, [line.events or {} for line in lines])
    others |= _spread("metric_", found | others, [line.metrics or {} for line in lines])
    known = {"trial": found.pop("trial"), **labels, **found, **others}
    return {name: _alike(column) for name, column in known.items() if _told(name, column)}


def fault_columns(lines: Sequence[Line], manifest: Manifest) -> Columns:
    """A row for each fault: the number of its trial, then ``fault_tensor``, ``fault_layer``, …

    Args:
        lines: Of a journal.
        manifest: Beside it; it knows the tensors.
    """
    pairs = [(line.trial, fault) for line in lines for fault in line.faults]
    faults = [fault for _, fault in pairs]
    place, bit = _places(manifest), cache(_bit)
    found: Columns = {"trial": [trial for trial, _ in pairs]}
    found |= {f"fault_{name}": [getattr(fault, name) for fault in faults] for name in FAULT}
    found["fault_operand"] = [None if v is None else str(v) for v in found["fault_operand"]]
    found["fault_layer"] = [place(fault.tensor)[0] for fault in faults]
    found["fault_dtype"] = [place(fault.tensor)[1] for fault in faults]
    found["fault_bit"] = [bit(fault.mask) for fault in faults]
    return found


def exploded(trials: Columns, faults: Columns) -> Columns:
    """A row for each fault with all that is known of its trial; one without faults has one row."""
    place = {number: row for row, number in enumerate(trials["trial"])}
    struck = [place[number] for number in faults["trial"]]
    bare = sorted(set(place.values()) - set(struck))
    order = sorted(
        [(row, at) for at, row in enumerate(struck)] + [(row, None) for row in bare],
        key=lambda pair: pair[0],
    )
    whole = {name: [column[row] for row, _ in order] for name, column in trials.items()}
    own = {
        name: [None if at is None else column[at] for _, at in order]
        for name, column in faults.items()
        if name != "trial"
    }
    return whole | own


def _of(line: Line, name: str) -> Any:
    value = getattr(line, name)
    return None if value is UNSET else _number(value) if name in FIGURES else value


def _number(value: Any) -> Any:
    """JSON has no words for numbers that are not finite; columns have."""
    return float(value) if value in ("nan", "inf", "-inf") else value


def _spread(prefix: str, known: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> Columns:
    """A column for each name in some tables."""
    found: Columns = {}
    for name in dict.fromkeys(name for table in tables for name in table):
        column = [_number(table.get(name)) for table in tables]
        if name not in known:
            found[name] = column
        elif column != known[name]:
            found[f"{prefix}{name}"] = column
    return found


def _told(name: str, column: Iterable[Any]) -> bool:
    """Whether there is anything in a column; an empty journal has its first."""
    if name in HEAD and name not in SELDOM:
        return True
    nothing = (None, False) if name in SELDOM else (None,)  # 0 is False, too
    return any(value not in nothing for value in column)


def _alike(column: list[Any]) -> list[Any]:
    """Of one type: whole numbers among others become floats; other mixtures, text."""
    kinds = {type(value) for value in column if value is not None}
    if len(kinds) < 2:
        return column
    kind = float if kinds == {int, float} else str
    return [None if value is None else kind(value) for value in column]


def _places(manifest: Manifest) -> Any:
    """Layer and dtype by name of a tensor; there are many faults, in few tensors."""
    target = manifest.settings.target

    @cache
    def place(tensor: str) -> tuple[str, str | None]:
        return Site(tensor, target, "", ()).layer, manifest.space.sites.get(tensor)

    return place


def _bit(mask: int) -> int | None:
    bits = bits_of(mask)
    return bits[0] if len(bits) == 1 else None
