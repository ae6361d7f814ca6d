"""What trials did as a whole, and how many more a margin takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faultsim.campaign.summary import CellSummary
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.figures.shares import condition
from faultsim.report.table import Row, Table
from faultsim.stats import Estimate, sample_size

MARGIN = 0.01
NEEDED = "trials for ±1 point"
COLUMNS = ("run", "condition", "trials", "with SDC", "with DUE", NEEDED)


def by_trial(runs: Sequence[RecordedCampaign]) -> Table:
    """The shares of trials with at least one SDC or DUE, a row for each condition."""
    return Table(COLUMNS, [row for run in runs for row in _rows(run)])


def _rows(run: RecordedCampaign) -> Iterator[Row]:
    for cell in run.cells:
        yield {
            "run": run.label,
            "condition": condition(run, cell.cell),
            "trials": cell.trials,
            "with SDC": str(cell.any_sdc),
            "with DUE": str(cell.any_due),
            NEEDED: _needed(cell),
        }


def _needed(cell: CellSummary) -> int | None:
    """Trials after which both shares are known to a percentage point, at 95 %.

    Taken as likely is the most demanding rate that the interval leaves possible. None where nothing
    was sampled.
    """
    if cell.any_sdc.low is None:
        return None
    return max(sample_size(MARGIN, rate=_demanding(rate)) for rate in (cell.any_sdc, cell.any_due))


def _demanding(found: Estimate) -> float:
    """The rate within an interval that is nearest to a half."""
    assert found.low is not None
    assert found.high is not None
    return min(max(0.5, found.low), found.high)
