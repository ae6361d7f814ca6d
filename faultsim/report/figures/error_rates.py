"""Accuracy against the bit-error rate."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from faultsim.report.labels import labels
from faultsim.report.sources import Sources
from faultsim.report.style import INK, Styles, interval, legend_above, new_figure, percent_axis
from faultsim.report.style import styles as make_styles
from faultsim.report.table import ESTIMATE, Table, estimate

NAME = "error-rates"
TITLE = "Accuracy against the bit-error rate"
CAPTION = (
    "Test accuracy where every bit is struck independently at the given rate; campaigns that "
    "differ in the rate alone are joined. The dashed line is the golden run."
)


def table(sources: Sources) -> Table:
    """A row for each campaign at a bit-error rate."""
    runs = [run for run in sources.campaigns if run.mode == "random" and run.config["ber"]]
    series = labels(runs, but="ber")
    rows = [
        {
            "run": run.label,
            "series": name,
            "ber": cell.cell["ber"],
            "golden": run.golden["acc"],
            **estimate(cell.accuracy),
        }
        for run, name in zip(runs, series, strict=True)
        for cell in run.cells
    ]
    return Table(("run", "series", "ber", "golden", *ESTIMATE), rows)


def draw(table: Table, styles: Styles) -> Figure:
    """A line for each series."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    for name, style in make_styles(table.values("series")).items():
        rows = sorted(table.where(series=name).rows, key=lambda row: row["ber"])
        interval(axes, [row["ber"] for row in rows], rows, style, name)
    for golden in table.values("golden"):
        axes.axhline(golden, color=INK, lw=0.8, ls=(0, (6, 3)))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(-0.02, 1.03)
    percent_axis(axes.yaxis)
    axes.set(xlabel="bit-error rate", ylabel="test accuracy")
    legend_above(figure, axes)
    return figure
