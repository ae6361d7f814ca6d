"""Campaigns of one report beside each other, where they can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faultsim.campaign.comparison import compare
from faultsim.errors import FaultSimError
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.figures.shares import condition
from faultsim.report.table import Row, Table

MOST = 8  # pairs; each is read and bounded anew
RATES = ("sdc", "due")
COLUMNS = ("first", "second", "condition", "rate", "was", "is", "change", "low", "high", "paired")


def differences(runs: Sequence[RecordedCampaign]) -> Table:
    """Rates of each campaign less those of the first that it can be compared with."""
    rows: list[Row] = []
    pairs = 0
    for place, run in enumerate(runs):
        for first in runs[:place]:
            found = list(_changes(first, run)) if pairs < MOST else []
            if found:
                rows += found
                pairs += 1
                break
    return Table(COLUMNS, rows)


def _changes(first: RecordedCampaign, second: RecordedCampaign) -> Iterator[Row]:
    if first.mode != second.mode or first.summary is None or second.summary is None:
        return
    try:
        found = compare(first.directory, second.directory)
    except FaultSimError:  # they are of other data or populations
        return
    for change in found.changes:
        if change.rate in RATES or second.mode == "estimate":
            yield {
                "first": first.label,
                "second": second.label,
                "condition": condition(second, change.cell),
                "rate": change.rate,
                "was": str(change.first),
                "is": str(change.second),
                "change": change.difference.value,
                "low": change.difference.low,
                "high": change.difference.high,
                "paired": "yes" if found.paired else "no",
            }
