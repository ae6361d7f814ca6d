"""What counts, accuracy say, against the bit-error rate."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from faultsim.report.labels import labels
from faultsim.report.sources import Sources
from faultsim.report.style import INK, Styles, interval, legend_above, new_figure, score_axis
from faultsim.report.style import styles as make_styles
from faultsim.report.table import ESTIMATE, Table, estimate

NAME = "error-rates"
TITLE = "{Objective} against the bit-error rate"
CAPTION = (
    "Test {objective} where every bit is struck independently at the given rate; campaigns that "
    "differ in the rate alone are joined. The dashed line is the golden run."
)


def table(sources: Sources) -> Table:
    """A row for each campaign at a bit-error rate; a single one is no curve."""
    runs = [run for run in sources.campaigns if run.mode == "random" and run.config["ber"]]
    series = labels(runs, but="ber")
    rows = [
        {
            "run": run.label,
            "series": name,
            "ber": cell.cell["ber"],
            "objective": run.objective.title,
            "percent": run.objective.share,
            "golden": run.worth,
            **estimate(cell.accuracy),
        }
        for run, name in zip(runs, series, strict=True)
        for cell in run.cells
    ]
    columns = ("run", "series", "ber", "objective", "percent", "golden", *ESTIMATE)
    return Table(columns, rows if len(rows) > 1 else [])


def draw(table: Table, styles: Styles) -> Figure:
    """A panel for each objective, in it a line for each series."""
    objectives = table.values("objective")
    figure = new_figure(3.0)
    panels = figure.subplots(1, len(objectives), squeeze=False)[0]
    by_series = make_styles(table.values("series"))
    for axes, objective in zip(panels, objectives, strict=True):
        _panel(axes, table.where(objective=objective), by_series)
        axes.set(xlabel="bit-error rate", ylabel=f"test {objective}")
    legend_above(figure, *panels)
    return figure


def _panel(axes: Axes, part: Table, by_series: Styles) -> None:
    for name in part.values("series"):
        rows = sorted(part.where(series=name).rows, key=lambda row: row["ber"])
        interval(axes, [row["ber"] for row in rows], rows, by_series[name], name)
    for golden in part.values("golden"):
        axes.axhline(golden, color=INK, lw=0.8, ls=(0, (6, 3)))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    score_axis(axes.yaxis, part)
