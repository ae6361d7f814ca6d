"""What protections leave of the harm, against what they cost."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.report.protections import RATES, RecordedProtections, condition_of
from faultsim.report.sources import Sources
from faultsim.report.style import (
    INK,
    Styles,
    bars,
    legend_above,
    limits,
    new_figure,
    percent_axis,
    styles,
)
from faultsim.report.table import ESTIMATE, Row, Table, estimate

NAME = "protections"
TITLE = "Harm against cost"
CAPTION = (
    "Share of {samples} that fail on the same faults, against the time of a pass, a point for each "
    "protection; the dashed line is the bare model, the dotted one its time and 5 % more. Time is "
    "the simulator's: memories decode ECC in hardware."
)
BUDGET = 1.05
MOST = 6  # pairs of a run and its condition
HEADINGS = {"sdc": "SDC", "due": "DUE", "failure": "SDC or DUE"}


def table(sources: Sources) -> Table:
    """A row for each run, condition, protection and rate."""
    columns = ("run", "condition", "protection", "rate", "bare", "time", "memory", *ESTIMATE)
    return Table(columns, [row for run in sources.protections for row in _rows(run)])


def _rows(run: RecordedProtections) -> Iterator[Row]:
    for paid in run.paid:
        for change in paid.changes:
            if change.rate in RATES:
                yield {
                    "run": run.label,
                    "condition": condition_of(change),
                    "protection": paid.name,
                    "rate": change.rate,
                    "bare": change.first.value,
                    "time": paid.cost.time,
                    "memory": paid.cost.memory,
                    **estimate(change.second),
                }


def draw(table: Table, _: Styles) -> Figure:
    """A line of panels for each run and condition, a column for each rate."""
    lines = list(dict.fromkeys((row["run"], row["condition"]) for row in table.rows))[:MOST]
    looks = styles(table.values("protection"))
    figure = new_figure(0.8 + 1.9 * len(lines))
    panels = figure.subplots(len(lines), len(RATES), sharex=True, squeeze=False)
    for row, (run, cell) in zip(panels, lines, strict=True):
        for axes, rate in zip(row, RATES, strict=True):
            _panel(axes, table.where(run=run, condition=cell, rate=rate), looks)
        row[0].set_ylabel(run if len(table.values("condition")) == 1 else f"{run}\n{cell}")
    for axes, rate in zip(panels[0], RATES, strict=True):
        axes.set_title(HEADINGS[rate])
    for axes in panels[-1]:
        axes.set_xlabel("time, × the bare model's")
    legend_above(figure, panels[0][0], columns=5)
    return figure


def _panel(axes: Axes, part: Table, looks: Styles) -> None:
    for row in part.rows:
        look = looks[row["protection"]]
        axes.errorbar(
            [row["time"]], [row["value"]], yerr=bars([row]), label=row["protection"],
            color=look.colour, fmt=look.marker, markeredgewidth=0, elinewidth=0.8, capsize=1.5,
        )  # fmt: skip
    axes.axhline(part.rows[0]["bare"], color=INK, lw=0.7, ls="--")
    axes.axvline(BUDGET, color=INK, lw=0.7, ls=":")
    axes.set_ylim(limits([*part.rows, {"value": part.rows[0]["bare"], "low": None, "high": None}]))
    percent_axis(axes.yaxis)
