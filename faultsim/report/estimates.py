"""Rates that campaigns went on for until they were known."""

from __future__ import annotations

from collections.abc import Sequence

from faultsim.campaign.findings import EstimatedRecord, PartRecord
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.table import ESTIMATE, Row, Table

COLUMNS = ("bit", "layer", *ESTIMATE)


def estimate_sections(runs: Sequence[RecordedCampaign]) -> list[tuple[str, str, Table]]:
    """Label, what was estimated, and the rate of all, then of each bit and layer."""
    found = []
    for run in runs:
        told = run.summary.estimate if run.summary else None
        if told is not None:
            rows = [_row({}, told), *(_row(part.cell, part) for part in told.parts)]
            found.append((run.label, sentence(run, told), Table(COLUMNS, rows)))
    return found


def sentence(run: RecordedCampaign, told: EstimatedRecord) -> str:
    """The rate, what it is of and how well it is known."""
    config = run.config
    what = {"failure": "failure rate (SDC or DUE)"}.get(told.rate, f"{told.rate} rate")
    missed = "" if told.reached else "; the margin was not reached"
    fault = "flip" if config["op"] == "flip" else config["op"]
    return (
        f"the {what} of a random single-bit {fault} in {config['target']} is {told.value:.3%} "
        f"[{100 * told.low:.3f}–{100 * told.high:.3f}%], at {told.confidence:.0%} after "
        f"{told.n:,} trials of one fault on one sample; {_asked(told)} was asked{missed}."
    )


def _asked(told: EstimatedRecord) -> str:
    whole = f"±{told.margin:.3%}" if told.margin is not None else None
    whole = f"±{told.relative:.0%} of it" if told.relative is not None else whole
    own = None if told.part_margin is None else f"±{told.part_margin:.3%} for each bit and layer"
    return " and ".join(asked for asked in (whole, own) if asked)


def _row(
    cell: dict[str, str | int | float | bool | None], told: PartRecord | EstimatedRecord
) -> Row:
    known = {"bit": cell.get("bit", "all"), "layer": cell.get("layer", "all")}
    value = float(told.value) if told.n else None
    ends = {"low": told.low, "high": told.high, "n": told.n, "interval": told.method}
    return {**known, "value": value, **ends}
