"""Layers by the harm that faults in them do."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from faultsim.report.campaigns import NAMES, most_telling
from faultsim.report.figures.forest import LINE, MARGIN, draw_forest
from faultsim.report.localised import BY_LAYER, localised
from faultsim.report.measures import harm_label
from faultsim.report.sources import Sources
from faultsim.report.style import WIDTH, Styles, legend_above, limits, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, mean

NAME = "layers"
MOST = 20
PANEL = 0.9  # inches, that each further panel needs
TITLE = "The most vulnerable layers"
CAPTION = (
    f"Mean {{harm}} after random faults in one layer; the {MOST} layers of the most harm in any "
    "campaign, the table has all."
)


def table(sources: Sources) -> Table:
    """A row for each campaign and layer struck, the largest harm first."""
    rows: list[Row] = []
    for run in most_telling(sources.campaigns, BY_LAYER):
        rows += [
            {
                **run.names,
                "measure": run.measure,
                "layer": struck.layer,
                "component": struck.component,
                "position": struck.position,
                **mean(run.harms_of(struck.trials), sampled=run.sampled, most=run.most),
            }
            for struck in localised(run)
        ]
    rows.sort(key=lambda row: -row["value"])
    return Table((*NAMES, "measure", "layer", "component", "position", *ESTIMATE), rows)


def draw(table: Table, styles: Styles) -> Figure:
    """The most harmful at the top, its component beside it; a panel for each model and data."""
    components = {row["layer"]: row["component"] for row in table.rows}
    layers = table.values("layer")[:MOST]
    shown, names = Table(table.columns, _within(table, layers)), sorted(table.values("panel"))
    figure = new_figure(MARGIN + LINE * len(layers), WIDTH + PANEL * (len(names) - 1))
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        draw_forest(axes, shown.where(panel=name), "layer", layers, styles)
        axes.set_title(name)
        axes.set_xlim(limits(shown.rows))
    figure.supxlabel(harm_label(table), fontsize="medium")
    beside = panels[-1].secondary_yaxis("right")
    beside.set_yticks(range(len(layers)), [components[layer] for layer in layers])
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)
    legend_above(figure, *panels)
    return figure


def _within(table: Table, layers: Sequence[str]) -> list[Row]:
    return [row for row in table.rows if row["layer"] in layers]
