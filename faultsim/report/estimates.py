"""Rates that campaigns went on for until they were known."""

from __future__ import annotations

from collections.abc import Sequence

from faultsim.campaign.findings import EstimatedRecord, PartRecord
from faultsim.config.operators import OF_BITS
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
    op = str(config["op"])
    what_struck = f"single-bit {op}" if op in OF_BITS else f"word struck by {op}"
    return (
        f"the {what} of a random {what_struck} in {config['target']} is {told.value:.3%} "
        f"[{100 * told.low:.3f}–{100 * told.high:.3f}%], at {told.confidence:.0%} after "
        f"{told.n:,} trials of one fault on one sample. {_asked(told)}"
    )


def _asked(told: EstimatedRecord) -> str:
    """What was to be known how well, and whether it is."""
    wanted = []
    if told.relative is not None:
        wanted.append(f"the rate to within {told.relative:.3g} of itself")
    elif told.margin is not None:
        wanted.append(f"the rate to within {_points(told.margin)}")
    if told.part_margin is not None:
        labels = dict.fromkeys(label for part in told.parts for label in part.cell)
        each = " and ".join(f"each {label}" for label in labels)
        of = "that of" if wanted else "the rate of"
        wanted.append(f"{of} {each} to within {_points(told.part_margin)}")
    known = "that was reached" if told.reached else "not all of that was reached"
    return f"Asked for was {' and '.join(wanted)}; {known}."


def _points(margin: float) -> str:
    """A distance between shares: ±1 % of a share would be another."""
    return f"±{100 * margin:.3g} percentage points"


def _row(
    cell: dict[str, str | int | float | bool | None], told: PartRecord | EstimatedRecord
) -> Row:
    known = {"bit": cell.get("bit", "all"), "layer": cell.get("layer", "all")}
    value = float(told.value) if told.n else None
    ends = {"low": told.low, "high": told.high, "n": told.n, "interval": told.method}
    return {**known, "value": value, **ends}
