"""Vulnerability of layer and bit field: the mean harm of one flip."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from textwrap import fill
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from faultsim.report.campaigns import Numbers, RecordedCampaign, most_telling, single_flips
from faultsim.report.localised import BY_LAYER
from faultsim.report.measures import harm_label
from faultsim.report.sources import Sources
from faultsim.report.style import INK, Styles, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, mean

NAME = "heatmap"
TITLE = "Vulnerability by layer and bit field"
CAPTION = (
    "Mean {harm} in percentage points, after a single random bit flip in the "
    "layer (rows, in the model's order) and the field of the word (columns). Hatched: no trial "
    "fell there, which is not the same as no harm. Layers without any trial are left out."
)
FIELDS = ("sign", "exponent", "mantissa", "magnitude")
COLOURS = matplotlib.colormaps["cividis_r"].resampled(12)
LINE, CELL, NAMES, MARGIN, BAR = 0.19, 0.66, 2.9, 0.45, 0.09  # inches
LEAST = 4  # halves of a cell
CENTRED: Any = {"ha": "center", "va": "center", "fontsize": 6.5}
NO_HARM = 0.0005  # shown as 0 and not coloured
NEVER = {"value": None, "low": None, "high": None, "n": 0, "interval": "no trials"}


def table(sources: Sources) -> Table:
    """A row for each campaign, layer with a trial, and field; without trials the value is None."""
    columns = ("run", "target", "measure", "layer", "field", *ESTIMATE)
    runs = most_telling(sources.campaigns, BY_LAYER)
    return Table(columns, [row for run in runs for row in _rows(run)])


def _rows(run: RecordedCampaign) -> list[Row]:
    trials: dict[tuple[str, str], Numbers] = {}
    fields: set[str] = set()
    for flips in single_flips(run):
        trials.setdefault((flips.layer, flips.field), array("q")).extend(flips.trials)
        fields |= {flips.field} if run.config["bits"] != "all" else set(flips.fields)
    struck = {layer for layer, _ in trials}
    known = {"run": run.label, "target": run.config["target"], "measure": run.measure}
    return [
        {**known, "layer": layer, "field": field}
        | (
            mean(run.harms_of(trials[layer, field]), sampled=run.sampled, most=run.most)
            if (layer, field) in trials
            else NEVER
        )
        for layer in run.layers
        if layer in struck
        for field in FIELDS
        if field in fields
    ]


def draw(table: Table, styles: Styles) -> Figure:
    """A line of panels for each target, a panel for each campaign, over the same layers."""
    parts = [table.where(target=target) for target in table.values("target")]
    widths = [[_width(part.where(run=run)) for run in part.values("run")] for part in parts]
    widest = max(map(sum, widths))
    heights = [BAR, *(LINE * len(part.values("layer")) for part in parts)]
    figure = new_figure(sum(heights) + MARGIN * len(heights), NAMES + max(2.2, CELL * widest / 2))
    top = max([row["value"] for row in table.rows if row["value"] is not None] + [0.01])
    grid = figure.add_gridspec(len(heights), widest, height_ratios=heights)
    _scale(figure.add_subplot(grid[0, : widths[0][0]]), top, harm_label(table))
    for number, (part, columns) in enumerate(zip(parts, widths, strict=True), start=1):
        ends = list(accumulate(columns))
        for run, width, end in zip(part.values("run"), columns, ends, strict=True):
            axes = figure.add_subplot(grid[number, end - width : end])
            _panel(axes, part.where(run=run), part.values("layer"), top)
            axes.set_title(fill(run, 5 * width, break_on_hyphens=False), fontsize=7)
            axes.tick_params(labelleft=end == width)
    return figure


def _width(part: Table) -> int:
    """Of a panel in halves of a cell; the name above it needs room too."""
    return max(LEAST, 2 * len(part.values("field")))


def _scale(axes: Axes, top: float, title: str) -> None:
    bar = axes.figure.colorbar(
        ScalarMappable(Normalize(0, top), COLOURS), cax=axes, orientation="horizontal"
    )
    bar.set_ticks([0, top / 2, top], labels=["0", f"{50 * top:.3g}", f"{100 * top:.3g}"])
    axes.set_title(title, fontsize=7)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    bar.outline.set_visible(False)


def _panel(axes: Axes, part: Table, layers: Sequence[str], top: float) -> None:
    fields = part.values("field")
    for row in part.rows:
        x, y = fields.index(row["field"]), layers.index(row["layer"])
        _cell(axes, x, y, row["value"], top)
    axes.set_xlim(-0.5, len(fields) - 0.5)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xticks(range(len(fields)), fields, fontsize=7)
    axes.set_yticks(range(len(layers)), layers)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _cell(axes: Axes, x: int, y: int, value: float | None, top: float) -> None:
    where, size = (x - 0.48, y - 0.46), (0.96, 0.92)
    if value is None:
        axes.add_patch(
            Rectangle(where, *size, facecolor="none", edgecolor=INK, alpha=0.4, hatch="///", lw=0)
        )
        return
    if value < NO_HARM:
        axes.add_patch(Rectangle(where, *size, facecolor="none", edgecolor=INK, alpha=0.2, lw=0.5))
        axes.text(x, y, "0" if value > -NO_HARM else f"{100 * value:.1f}", **CENTRED, alpha=0.6)
        return
    red, green, blue, _ = COLOURS(value / top)
    axes.add_patch(Rectangle(where, *size, facecolor=(red, green, blue), lw=0))
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
    axes.text(x, y, f"{100 * value:.1f}", **CENTRED, color="#ffffff" if dark else "#000000")
