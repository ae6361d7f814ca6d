"""Accuracy against the number of flips: found by search, and at random."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.sources import Sources
from faultsim.report.style import INK, Style, Styles, interval, new_figure, percent_axis
from faultsim.report.table import ESTIMATE, Row, Table, estimate

NAME = "flips"
TITLE = "Accuracy against the number of flips"
CAPTION = (
    "Test accuracy after the given number of bit flips in one inference run, on a logarithmic "
    "scale. Searched flips are chosen on validation images; the thin lines are the golden runs."
)
DODGE = 0.03  # of a doubling, so that intervals at the same number do not cover each other
CURVES = {"worst-case": "-", "worst-case without the top exponent bit": "--", "random": ":"}
GOLDEN = (0, (6, 3))


def table(sources: Sources) -> Table:
    """A row for each campaign, curve and number of flips."""
    columns = ("run", "curve", "flips", "golden", *ESTIMATE)
    return Table(columns, [row for run in sources.campaigns for row in _rows(run)])


def _rows(run: RecordedCampaign) -> list[Row]:
    if run.mode not in ("random", "worst-case"):
        return []
    return [
        {
            "run": run.label,
            "curve": cell.cell.get("curve", "random"),
            "flips": cell.cell["flips"],
            "golden": run.golden["acc"],
            **estimate(cell.accuracy),
        }
        for cell in run.cells
        if "flips" in cell.cell
    ]


def draw(table: Table, styles: Styles) -> Figure:
    """Colour and marker tell the campaign, the line tells the curve."""
    figure = new_figure(3.4)
    axes = figure.subplots()
    runs = table.values("run")
    for number, run in enumerate(runs):
        part = table.where(run=run)
        shift = 2 ** (DODGE * (number - (len(runs) - 1) / 2))
        axes.axhline(part.rows[0]["golden"], color=_colour(runs, run, styles), lw=0.8, ls=GOLDEN)
        for curve in part.values("curve"):
            _curve(axes, part.where(curve=curve), CURVES[curve], styles[run], shift)
    _axes(axes, sorted(table.values("flips")))
    _legend(figure, table, styles)
    return figure


def _colour(runs: list[str], run: str, styles: Styles) -> str:
    return styles[run].colour if len(runs) > 1 else INK


def _curve(axes: Axes, part: Table, line: str, style: Style, shift: float) -> None:
    rows = sorted(part.rows, key=lambda row: row["flips"])
    interval(axes, [row["flips"] * shift for row in rows], rows, style, line=line)


def _axes(axes: Axes, flips: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(flips, map(str, flips))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-0.02, 1.03)
    percent_axis(axes.yaxis)
    axes.set(xlabel="bit flips", ylabel="test accuracy")


def _legend(figure: Figure, table: Table, styles: Styles) -> None:
    runs = table.values("run")
    handles = [
        Line2D([], [], color=INK, ls=CURVES[curve], label=curve) for curve in table.values("curve")
    ]
    handles.append(Line2D([], [], color=INK, lw=0.8, ls=GOLDEN, label="golden run"))
    for run in runs if len(runs) > 1 else ():
        colour, marker = styles[run].colour, styles[run].marker
        handles.append(Line2D([], [], color=colour, ls="", marker=marker, label=f"campaign {run}"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
