"""Components of the network, and early against late layers."""

from __future__ import annotations

from array import array

from matplotlib.figure import Figure

from faultsim.report.campaigns import NAMES, Numbers, RecordedCampaign, most_telling
from faultsim.report.figures.forest import LINE, MARGIN, draw_forest
from faultsim.report.localised import BY_LAYER, THIRDS, localised
from faultsim.report.measures import harm_label
from faultsim.report.sources import Sources
from faultsim.report.style import Styles, legend_above, limits, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, mean

NAME = "components"
TITLE = "Vulnerability by component and position"
CAPTION = (
    "Mean {harm} after random faults in one layer, over all trials in the "
    "component (above) and over all trials in a third of the layers, in the model's order (below)."
)


def table(sources: Sources) -> Table:
    """A row for each campaign and part, the largest harm first; positions in their order."""
    rows = [row for run in most_telling(sources.campaigns, BY_LAYER) for row in _rows(run)]
    rows.sort(key=lambda row: (row["grouping"], _order(row)))
    return Table((*NAMES, "measure", "grouping", "part", *ESTIMATE), rows)


def _rows(run: RecordedCampaign) -> list[Row]:
    trials: dict[tuple[str, str], Numbers] = {}
    for layer in localised(run):
        for key in (("component", layer.component), ("position", layer.position)):
            trials.setdefault(key, array("q")).extend(layer.trials)
    known = {**run.names, "measure": run.measure}
    return [
        known
        | {"grouping": grouping, "part": part}
        | mean(run.harms_of(struck), sampled=run.sampled, most=run.most)
        for (grouping, part), struck in trials.items()
    ]


def _order(row: Row) -> float:
    return THIRDS.index(row["part"]) if row["part"] in THIRDS else -float(row["value"])


def draw(table: Table, styles: Styles) -> Figure:
    """Components above positions, on one scale; a column for each model and data."""
    names = sorted(table.values("panel"))
    groups = {
        grouping: table.where(grouping=grouping).values("part")
        for grouping in ("component", "position")
    }
    heights = [len(parts) for parts in groups.values()]
    figure = new_figure(2 * MARGIN + LINE * sum(heights) * 1.3)
    panels = figure.subplots(
        2, len(names), sharex=True, sharey="row", squeeze=False, height_ratios=heights
    )
    for number, (grouping, parts) in enumerate(groups.items()):
        for axes, name in zip(panels[number], names, strict=True):
            draw_forest(axes, table.where(grouping=grouping, panel=name), "part", parts, styles)
            axes.set_title(name if number == 0 else "")
        panels[number, 0].set_ylabel(grouping)
    panels[0, 0].set_xlim(limits(table.rows))  # of all panels
    figure.supxlabel(harm_label(table), fontsize="medium")
    legend_above(figure, *panels.flat)
    return figure
