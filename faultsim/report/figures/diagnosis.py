"""What faults do to a diagnosis: of binary image sets only."""

from __future__ import annotations

from matplotlib.figure import Figure

from faultsim.report.figures.shares import COLUMNS, LEAST, MOST, draw_shares, rows
from faultsim.report.sources import Sources
from faultsim.report.style import Styles
from faultsim.report.table import Table

NAME = "diagnosis"
TITLE = "Diagnosis under faults"
CAPTION = (
    "Sensitivity and specificity, means over trials, and the share of test images whose "
    "prediction the faults turned from diseased to healthy (missed) or the other way (false "
    "alarms). Of a campaign's conditions those with most of both are drawn, up to "
    f"{MOST}, of many campaigns fewer, at least {LEAST}; the table has all."
)
NAMES = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "missed": "missed",
    "false_alarms": "false alarms",
}


def table(sources: Sources) -> Table:
    """A row for each campaign, condition and measure, where they are defined."""
    cells = ((run, cell) for run in sources.campaigns for cell in run.cells)
    return Table(COLUMNS, [row for run, cell in cells for row in rows(run, cell, list(NAMES))])


def draw(table: Table, styles: Styles) -> Figure:
    """A panel for each measure."""
    return draw_shares(table, styles, NAMES, harm={"missed": 1, "false_alarms": 1})
