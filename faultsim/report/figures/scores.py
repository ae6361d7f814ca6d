"""The figures of a task: each with its interval, beside the golden run's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.campaign.summary import CellSummary
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.figures.shares import LINE, MARGIN, Lines, condition, lines_of, name_lines
from faultsim.report.sources import Sources
from faultsim.report.style import INK, Styles, abreast, bars, new_figure, own_scale
from faultsim.report.table import ESTIMATE, Row, Table, estimate

NAME = "scores"
TITLE = "Scores of the task"
CAPTION = (
    "Mean of each score over the trials in which it is finite; the line is the golden run. n is "
    "the number of those trials. Of a campaign's many conditions those are drawn that differ most "
    "from the golden run; the table has all."
)
ABREAST = 3  # panels
AWAY = "distance"
CENTRED: Any = {"ha": "center", "va": "center", "fontsize": 7}


def table(sources: Sources) -> Table:
    """A row for each campaign of a task that is no classification, condition and score."""
    columns = ("run", "condition", "measure", "golden", *ESTIMATE)
    found = ((run, cell) for run in sources.campaigns for cell in run.cells)
    return Table(columns, [row for run, cell in found for row in _rows(run, cell)])


def _rows(run: RecordedCampaign, cell: CellSummary) -> Iterator[Row]:
    known = dict(cell.metrics)
    if cell.objective:
        known = {cell.objective: cell.accuracy, **known, cell.objective: cell.accuracy}
    for name, found in known.items():
        yield {
            "run": run.label,
            "condition": condition(run, cell.cell),
            "measure": name,
            "golden": run.golden.score(name),
            **estimate(found),
        }


def draw(table: Table, styles: Styles) -> Figure:
    """A panel for each score, a line for each condition."""
    names = table.values("measure")
    lines = lines_of(_distances(table), harm={AWAY: 1})
    columns = min(abreast(ABREAST), len(names))
    rows = -(-len(names) // columns)
    figure = new_figure((MARGIN + 0.3 + 1.2 * LINE * len(lines)) * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        _panel(axes, table.where(measure=name), lines, styles)
        axes.set_title(name)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for row in panels:
        name_lines(row[0], lines)
    return figure


def _distances(table: Table) -> Table:
    """How far each condition is from the golden run, over all scores and in parts of it."""
    rows = [
        {"run": row["run"], "condition": row["condition"], "measure": AWAY, "value": _away(row)}
        for row in table.rows
    ]
    return Table(("run", "condition", "measure", "value"), rows)


def _away(row: Row) -> float:
    far = abs(row["value"] - row["golden"]) / (abs(row["golden"]) or 1.0)
    return float(far) if math.isfinite(far) else 1.0


def _panel(axes: Axes, part: Table, lines: Lines, styles: Styles) -> None:
    found = {(row["run"], row["condition"]): row for row in part.rows}
    for y, line in enumerate(lines):
        row = found.get(line)
        if row is not None and not math.isfinite(row["value"]):
            axes.text(0.5, y, "never finite", transform=axes.get_yaxis_transform(), **CENTRED)
        elif row is not None:
            axes.errorbar(
                [row["value"]], [y], xerr=bars([row]), color=styles[row["run"]].colour,
                fmt=styles[row["run"]].marker, markeredgewidth=0, elinewidth=0.9, capsize=1.5,
            )  # fmt: skip
    for run in part.values("run"):
        heights = [y for y, (name, _) in enumerate(lines) if name == run]
        golden = part.where(run=run).rows[0]["golden"]
        axes.vlines([golden], min(heights) + 0.5, max(heights) + 0.5, color=INK, lw=1)
    own_scale(axes.xaxis, [*part.values("golden"), *part.values("value")])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
