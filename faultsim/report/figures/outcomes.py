"""Shares of the four outcomes in each condition."""

from __future__ import annotations

from matplotlib.figure import Figure

from faultsim.report.figures.shares import COLUMNS, LEAST, MOST, draw_shares, rows
from faultsim.report.sources import Sources
from faultsim.report.style import Styles
from faultsim.report.table import Table

NAME = "outcomes"
TITLE = "What became of the {outputs}"
CAPTION = (
    "Share of test {samples} with each outcome, by campaign and condition. DUE: a non-finite "
    "output; SDC: {sdc}; benign: only the output's bits differ; masked: "
    "bit-identical. any_sdc and any_due, in the table: the shares of trials with at least one of "
    "them. Of a campaign's conditions those with most SDC and DUE are drawn, up "
    f"to {MOST}, of many campaigns fewer, at least {LEAST}; the table has all."
)
BY_TRIAL = ("any_sdc", "any_due")
NAMES = {"due": "DUE", "sdc": "SDC", "benign": "benign", "masked": "masked"}


def table(sources: Sources) -> Table:
    """A row for each campaign, condition and outcome, and the shares of trials that had such."""
    cells = ((run, cell) for run in sources.campaigns for cell in run.cells)
    measures = (*NAMES, *BY_TRIAL)
    return Table(COLUMNS, [row for run, cell in cells for row in rows(run, cell, measures)])


def draw(table: Table, styles: Styles) -> Figure:
    """A panel for each outcome."""
    return draw_shares(table, styles, NAMES, harm={"due": 1, "sdc": 1})
