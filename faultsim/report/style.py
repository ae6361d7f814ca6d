"""One look for every figure: quiet axes, colours that the colour-blind tell apart, real text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from faultsim.report.table import Table

INK = "#010203"
"""Of text and axes; on the page it becomes the colour of the text around the figure."""

WIDTH = 7.5  # inches, the text width of the page
NARROW = 3.75  # inches, of 96 pixels: what is left of a screen of 400
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888")
"""Okabe and Ito's palette (2008), grey in place of yellow and black: the one is
faint on white, the other the colour of the axes."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")  # one more, so that no pair recurs soon
LINES = ("-", "--", ":", "-.")
TICKS = 5  # at most, of numbers that may be long
MUCH = 1000  # times the least, from which numbers are shown on a logarithmic scale

RC: dict[str, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same everywhere
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    **dict.fromkeys(("grid.color", "hatch.color"), INK),
}


@dataclass(frozen=True)
class Style:
    """How a series is drawn, to be known without its colour."""

    colour: str
    marker: str


Styles = dict[str, Style]


def styles(names: Sequence[str]) -> Styles:
    """A style for each series; the same one in every figure of a report."""
    return {
        name: Style(COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
        for number, name in enumerate(names)
    }


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's settings while a figure is drawn and saved; those before come back."""
    rc: Any = RC
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own matplotlibrc has no say
        matplotlib.rcParams.update(rc)
        yield


_narrow = ContextVar("narrow", default=False)


@contextmanager
def narrow_figures() -> Iterator[None]:
    """Figures are drawn for a narrow screen: as wide as one, fewer panels abreast."""
    token = _narrow.set(True)
    try:
        yield
    finally:
        _narrow.reset(token)


def abreast(most: int) -> int:
    """How many panels there is room for beside each other."""
    return min(most, 2) if _narrow.get() else most


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of the given size in inches; on a narrow screen it is as wide as that."""
    return Figure(figsize=(NARROW if _narrow.get() else width, height), layout="constrained")


def percent_axis(axis: Any) -> None:
    """Labels a share as percent."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def interval(
    axes: Axes,
    x: Sequence[float],
    rows: Sequence[Any],
    style: Style,
    label: str | None = None,
    *,
    line: str = "-",
) -> None:
    """A series of estimates above ``x``, with bars where they have an interval."""
    values = [row["value"] for row in rows]
    axes.errorbar(
        x, values, yerr=bars(rows), label=label, color=style.colour, capsize=2, elinewidth=0.9,
        marker=style.marker, linestyle=line, markeredgewidth=0,
    )  # fmt: skip


def bars(rows: Sequence[Any]) -> list[list[float]]:
    """Lengths of the error bars, below and above; 0 where there is no interval."""
    known = [row["low"] is not None for row in rows]
    down = [max(0.0, r["value"] - r["low"]) if k else 0.0 for r, k in zip(rows, known, strict=True)]
    up = [max(0.0, r["high"] - r["value"]) if k else 0.0 for r, k in zip(rows, known, strict=True)]
    return [down, up]


def limits(rows: Sequence[Any]) -> tuple[float, float]:
    """Of an axis of estimates that are often 0: it shows 0 and at least a percent above."""
    low = min([0.0, *(row["value"] if row["low"] is None else row["low"] for row in rows)])
    high = max([0.01, *(row["value"] if row["high"] is None else row["high"] for row in rows)])
    pad = 0.04 * (high - low)
    return low - pad, high + pad


def own_scale(axis: Any, values: Sequence[float]) -> None:
    """Of numbers in units of their own: logarithmic on both sides of 0 where they differ much."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    least, most = min(sizes, default=1.0), max(sizes, default=1.0)
    spread = most > MUCH * least

    def wide(value: float) -> bool:
        """Whether a tick has room for its number: on a logarithmic scale, those near 0 have not."""
        return not spread or not value or abs(value) >= least

    if spread:
        axis._set_axes_scale("symlog", linthresh=least)
        axis.get_major_locator().set_params(numticks=TICKS)
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(TICKS))
    axis.set_major_formatter(lambda value, _: f"{value:.6g}" if wide(value) else "")


def score_axis(axis: Any, table: Table) -> None:
    """Of what counts: a part of a whole is seen against the whole.

    Args:
        axis: Its own.
        table: With the columns ``percent``, ``golden`` and ``value``, of one objective.
    """
    if table.values("percent") == [True]:
        axis.axes.set_ylim(-0.02, 1.03)
        percent_axis(axis)
    else:
        own_scale(axis, [*table.values("golden"), *table.values("value")])


def legend_above(figure: Figure, *panels: Axes, columns: int = 3) -> None:
    """One legend over the whole figure, left out where it would name a single series."""
    named: dict[str, Any] = {}
    for axes in panels:
        handles, names = axes.get_legend_handles_labels()
        named |= dict(zip(names, handles, strict=True))
    if len(named) > 1:
        figure.legend(
            named.values(), named, loc="outside upper left", ncols=1 if _narrow.get() else columns
        )
