"""What counts, accuracy say, against the number of flips: found by search, and at random."""

from __future__ import annotations

from collections import Counter

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from faultsim.report.campaigns import NAMES, RecordedCampaign
from faultsim.report.sources import Sources
from faultsim.report.style import INK, Style, Styles, interval, new_figure, score_axis
from faultsim.report.table import ESTIMATE, Row, Table, estimate

NAME = "flips"
TITLE = "{Objective} against the number of flips"
CAPTION = (
    "Test {objective} after the given number of bit flips in one inference run, on a logarithmic "
    "scale. Searched flips are chosen on validation {samples}; the thin lines are the golden runs."
)
DODGE = 0.03  # of a doubling, so that intervals at the same number do not cover each other
CURVES = {"worst-case": "-", "worst-case without the top exponent bit": "--", "random": ":"}
GOLDEN = (0, (6, 3))
ABREAST, HEIGHT = 3, 2.4  # panels, inches


def table(sources: Sources) -> Table:
    """A row for each campaign, curve and number of flips; a panel of a single one is no curve."""
    columns = (*NAMES, "curve", "flips", "objective", "percent", "golden", *ESTIMATE)
    rows = [row for run in sources.campaigns for row in _rows(run)]
    dots = Counter(map(_place, rows))
    return Table(columns, [row for row in rows if dots[_place(row)] > 1])


def _place(row: Row) -> tuple[str, str]:
    """The panel that a row is drawn in."""
    return row["panel"], row["objective"]


def _rows(run: RecordedCampaign) -> list[Row]:
    if run.mode not in ("random", "worst-case"):
        return []
    return [
        {
            **run.names,
            "curve": cell.cell.get("curve", "random"),
            "flips": cell.cell["flips"],
            "objective": run.objective.title,
            "percent": run.objective.share,
            "golden": run.worth,
            **estimate(cell.accuracy),
        }
        for cell in run.cells
        if "flips" in cell.cell
    ]


def draw(table: Table, styles: Styles) -> Figure:
    """Colour and marker tell the campaign, the line the curve.

    There is a panel for each model and data, and each of their objectives.
    """
    names = sorted(set(map(_place, table.rows)))
    one = len(table.values("objective")) == 1
    columns = min(ABREAST, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(1.0 + HEIGHT * lines)
    panels = figure.subplots(lines, columns, sharex=True, sharey=one, squeeze=False).flat
    for axes, (name, objective) in zip(panels, names, strict=False):
        part = table.where(panel=name, objective=objective)
        _panel(axes, part, styles)
        score_axis(axes.yaxis, table if one else part)
        axes.set_title(name)
        axes.set_ylabel("" if one else f"test {objective}")
    for axes in panels[max(0, len(names) - columns) : len(names)]:
        axes.tick_params(labelbottom=True)  # also where the panel below is missing
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    _axes(panels[0], sorted(table.values("flips")))
    figure.supxlabel("bit flips", fontsize="medium")
    if one:
        figure.supylabel(f"test {names[0][1]}", fontsize="medium")
    _legend(figure, table, styles)
    return figure


def _panel(axes: Axes, part: Table, styles: Styles) -> None:
    runs = part.values("run")
    golden = {run: part.where(run=run).rows[0]["golden"] for run in runs}
    for number, run in enumerate(runs):
        own = part.where(run=run)
        shift = 2 ** (DODGE * (number - (len(runs) - 1) / 2))
        alone = len(set(golden.values())) > 1  # not the golden run of all
        axes.axhline(golden[run], color=styles[run].colour if alone else INK, lw=0.8, ls=GOLDEN)
        for curve in own.values("curve"):
            _curve(axes, own.where(curve=curve), CURVES[curve], styles[run], shift)


def _curve(axes: Axes, part: Table, line: str, style: Style, shift: float) -> None:
    rows = sorted(part.rows, key=lambda row: row["flips"])
    interval(axes, [row["flips"] * shift for row in rows], rows, style, line=line)


def _axes(axes: Axes, flips: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(flips, [str(n) if n & (n - 1) == 0 else "" for n in flips])
    axes.xaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, table: Table, styles: Styles) -> None:
    series = {row["series"]: styles[row["run"]] for row in table.rows}
    handles = [
        Line2D([], [], color=INK, ls=CURVES[curve], label=curve) for curve in table.values("curve")
    ]
    handles.append(Line2D([], [], color=INK, lw=0.8, ls=GOLDEN, label="golden run"))
    for name, style in series.items() if len(series) > 1 else ():
        label = f"campaign {name}"
        handles.append(Line2D([], [], color=style.colour, ls="", marker=style.marker, label=label))
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
