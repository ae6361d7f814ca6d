"""The harm of a flip by the position of its bit."""

from __future__ import annotations

from array import array

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.formats import format_of
from faultsim.report.campaigns import (
    ACCURACY_DROP,
    HARMED,
    NAMES,
    Numbers,
    RecordedCampaign,
    most_telling,
    single_flips,
)
from faultsim.report.sources import Sources
from faultsim.report.style import (
    INK,
    Styles,
    interval,
    legend_above,
    limits,
    new_figure,
    percent_axis,
)
from faultsim.report.table import ESTIMATE, Row, Table, estimate, mean
from faultsim.stats import Estimate, image_rate

NAME = "bits"
TITLE = "Harm by bit position"
CAPTION = (
    "Mean {harm} and share of {samples} with silent data corruption after a single random flip, by "
    " the position of the bit: the most significant on the left, fields marked."
)
BY_BIT = ("bit-wise", "exhaustive", "random", "layer-wise")
"""Modes that sample bits, by how evenly they cover them."""

SHORT = {"sign": "s", "exponent": "exp."}
SPREAD = 0.5  # of a bit, over which the runs are spread
MEASURES = {
    ACCURACY_DROP: "mean accuracy drop",
    HARMED: "share with SDC or DUE",
    "SDC": "share with SDC",
}


def table(sources: Sources) -> Table:
    """A row for each campaign, dtype, bit and measure.

    Campaigns that aimed at bits are shown in place of all others of the same model and data: a few
    flips of a bit say little.
    """
    columns = (*NAMES, "dtype", "bit", "field", "measure", *ESTIMATE)
    runs = most_telling(sources.campaigns, BY_BIT, by_bit=True)
    aimed = {run.subject[:2] for run in runs if run.mode == BY_BIT[0]}  # at a model and data
    runs = [run for run in runs if run.mode == BY_BIT[0] or run.subject[:2] not in aimed]
    return Table(columns, [row for run in runs for row in _rows(run)])


def _rows(run: RecordedCampaign) -> list[Row]:
    groups: dict[tuple[str, int, str], Numbers] = {}
    for flips in single_flips(run):
        groups.setdefault((flips.dtype, flips.bit, flips.field), array("q")).extend(flips.trials)
    rows: list[Row] = []
    for (dtype, bit, field), trials in sorted(groups.items()):
        common = {**run.names, "dtype": dtype, "bit": bit, "field": field}
        harm = mean(run.harms_of(trials), sampled=run.sampled, most=run.most)
        rows.append({**common, "measure": run.measure, **harm})
        rows.append({**common, "measure": "SDC", **estimate(_sdc(run, trials))})
    return rows


def _sdc(run: RecordedCampaign, trials: Numbers) -> Estimate:
    lines = [run.lines[number] for number in trials]
    rate = image_rate([line.sdc for line in lines], [line.n for line in lines])
    return rate if run.sampled else Estimate(rate.value, None, None, rate.n, "exhaustive")


def draw(table: Table, styles: Styles) -> Figure:
    """A column for each model and data and dtype, a line of panels for each measure."""
    columns = sorted({(row["panel"], row["dtype"]) for row in table.rows})
    measures = {name: MEASURES[name] for name in MEASURES if name in table.values("measure")}
    figure = new_figure(2.2 * len(measures))
    panels = figure.subplots(len(measures), len(columns), sharex="col", sharey="row", squeeze=False)
    for line, (measure, heading) in zip(panels, measures.items(), strict=True):
        for axes, (name, dtype) in zip(line, columns, strict=True):
            _panel(axes, table.where(panel=name, dtype=dtype, measure=measure), styles)
            percent_axis(axes.yaxis)
            _mark_fields(axes, dtype, narrow=len(columns) > 2)
        line[0].set_ylabel(heading)
        line[0].set_ylim(limits(table.where(measure=measure).rows))
    for axes, (name, dtype) in zip(panels[0], columns, strict=True):
        _name_fields(axes, dtype, narrow=len(columns) > 2)
        axes.set_title(name, pad=16)
    for axes, (_, dtype) in zip(panels[-1], columns, strict=True):
        axes.set_xlabel(f"bit of {dtype}")
    legend_above(figure, *panels[0])
    return figure


def _panel(axes: Axes, part: Table, styles: Styles) -> None:
    runs = part.values("run")
    for number, run in enumerate(runs):
        rows = part.where(run=run).rows
        shift = SPREAD * ((number + 0.5) / len(runs) - 0.5)
        interval(axes, [row["bit"] + shift for row in rows], rows, styles[run], rows[0]["series"])


def _mark_fields(axes: Axes, dtype: str, *, narrow: bool) -> None:
    """Every other field on a grey ground; the most significant bit on the left."""
    layout = format_of(dtype)
    for number, bits in enumerate(layout.fields.values()):
        if number % 2:
            axes.axvspan(bits[0] - 0.5, bits[-1] + 0.5, color=INK, alpha=0.06, lw=0)
    axes.set_xlim(layout.bits - 0.5, -0.5)
    axes.set_xticks(range(0, layout.bits, max(2, layout.bits // (4 if narrow else 8))))
    axes.grid(axis="x", visible=False)


def _name_fields(axes: Axes, dtype: str, *, narrow: bool) -> None:
    """Their names, short ones where there is little room."""
    for name, bits in format_of(dtype).fields.items():
        middle = (bits[0] + bits[-1]) / 2
        shown = SHORT.get(name, name) if narrow else name
        axes.text(
            middle, 1.02, shown, transform=axes.get_xaxis_transform(), ha="center", fontsize=7.5
        )
