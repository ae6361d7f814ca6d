"""Recorded comparisons of protections: what ``protections.json`` holds, and its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faultsim.campaign.comparison import Change
from faultsim.campaign.protections_record import RECORD, Paid, read_protections
from faultsim.campaign.recommending import recommendation
from faultsim.report.recorded import Recorded, manifest_of
from faultsim.report.table import Row, Table

BUDGET = 0.05
"""Time more than the bare model's, within which the page recommends one."""

RATES = ("sdc", "due", "failure")


@dataclass(frozen=True)
class RecordedProtections(Recorded):
    """A comparison of protections that was read.

    Attributes:
        trials: Of each protection.
        paid: What each did, and its cost.
    """

    trials: int
    paid: Sequence[Paid]


def is_comparison(directory: Path) -> bool:
    return (directory / RECORD).is_file()


def read_comparison(directory: Path) -> RecordedProtections:
    """Reads the record of a directory.

    Raises:
        JournalError: It is damaged.
    """
    record = read_protections(directory)
    manifest = manifest_of(record) | {"protections": [paid.name for paid in record.paid]}
    return RecordedProtections(directory, manifest, record.trials, record.found)


def protection_sections(
    runs: Sequence[RecordedProtections],
) -> list[tuple[str, str, Table]]:
    """Label, recommendation, and what each protection removes and costs."""
    return [(run.label, recommendation(run.paid, BUDGET), which_pays(run)) for run in runs]


def which_pays(run: RecordedProtections) -> Table:
    """A row for each protection, condition and rate; changes and rates are shares of samples."""
    rows = [row for paid in run.paid for row in _rows(paid)]
    conditions = {row["condition"] for row in rows}
    columns = [name for name in rows[0] if name != "condition" or len(conditions) > 1]
    return Table(tuple(columns), rows)


def _rows(paid: Paid) -> Iterator[Row]:
    cost, own = paid.cost, paid.own
    for change in paid.changes:
        if change.rate in RATES:
            yield {
                "protection": paid.name,
                "condition": condition_of(change),
                "rate": change.rate.upper() if len(change.rate) == 3 else "SDC or DUE",
                "bare": change.first.value,
                "protected": change.second.value,
                "change": change.difference.value,
                "low": change.difference.low,
                "high": change.difference.high,
                "removed": change.removed,
                "introduced": change.introduced,
                "left": change.left,
                "time": cost.time,
                "memory": cost.memory,
                "golden": cost.golden,
                "own words": None if own is None else own.value,
                "n": change.difference.n,
            }


def condition_of(change: Change) -> str:
    """The labels of its cell in words."""
    return ", ".join(f"{name} {value}" for name, value in change.cell.items())
