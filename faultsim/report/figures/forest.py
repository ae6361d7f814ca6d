"""Estimates beside names, one line a name: drawn for layers and components."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from faultsim.report.style import INK, Styles, bars, limits
from faultsim.report.table import Table

LINE, MARGIN = 0.2, 0.8  # inches
SPREAD = 0.5  # of a line, over which the runs on it are spread


def draw_forest(axes: Axes, part: Table, column: str, names: Sequence[str], styles: Styles) -> None:
    """Points with intervals, a marker for each run.

    Args:
        axes: To draw on.
        part: With the columns ``run``, ``series``, ``column`` and those of an estimate.
        column: That holds the names.
        names: Top to bottom.
        styles: Of the runs.
    """
    runs = sorted(part.values("run"))  # alike in every panel
    for number, run in enumerate(runs):
        shift = SPREAD * ((number + 0.5) / len(runs) - 0.5)
        rows = [row for row in part.where(run=run).rows if row[column] in names]
        axes.errorbar(
            [row["value"] for row in rows],
            [names.index(row[column]) + shift for row in rows],
            xerr=bars(rows),
            label=rows[0]["series"] if rows else None,
            color=styles[run].colour,
            fmt=styles[run].marker,
            markeredgewidth=0,
            elinewidth=0.9,
            capsize=1.5,
        )
    axes.axvline(0, color=INK, lw=0.6)
    axes.set_xlim(limits(part.rows))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}")
