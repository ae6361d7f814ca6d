"""What else happened to samples: the events that a task names."""

from __future__ import annotations

from matplotlib.figure import Figure

from faultsim.report.figures.shares import COLUMNS, LEAST, MOST, condition, draw_shares
from faultsim.report.sources import Sources
from faultsim.report.style import Styles
from faultsim.report.table import Table, estimate

NAME = "events"
TITLE = "Events that the task names"
CAPTION = (
    "Share of test {samples} to which each event happened, detected errors (DUE) aside; a sample "
    "may meet several. Of a campaign's conditions those with most events are drawn, up to "
    f"{MOST}, of many campaigns fewer, at least {LEAST}; the table has all."
)


def table(sources: Sources) -> Table:
    """A row for each campaign, condition and event."""
    rows = [
        {
            "run": run.label,
            "condition": condition(run, cell.cell),
            "measure": name,
            **estimate(rate),
        }
        for run in sources.campaigns
        for cell in run.cells
        for name, rate in cell.events.items()
    ]
    return Table(COLUMNS, rows)


def draw(table: Table, styles: Styles) -> Figure:
    """A panel for each event."""
    names = table.values("measure")
    return draw_shares(table, styles, {n: n for n in names}, harm=dict.fromkeys(names, 1))
