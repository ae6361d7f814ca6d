"""Layers by the harm that faults in them do."""

from __future__ import annotations

from matplotlib.figure import Figure

from faultsim.report.campaigns import most_telling
from faultsim.report.figures.forest import HARM, LINE, MARGIN, draw_forest
from faultsim.report.localised import BY_LAYER, Localised, localised
from faultsim.report.sources import Sources
from faultsim.report.style import Styles, legend_above, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, mean

NAME = "layers"
MOST = 20
TITLE = "The most vulnerable layers"
CAPTION = (
    f"Mean drop of test accuracy after random faults in one layer; the {MOST} layers of the "
    "largest drop in any campaign, the table has all."
)


def table(sources: Sources) -> Table:
    """A row for each campaign and layer struck, the largest drop first."""
    rows: list[Row] = []
    for run in most_telling(sources.campaigns, BY_LAYER):
        trials: dict[str, list[Localised]] = {}
        for trial in localised(run):
            trials.setdefault(trial.layer, []).append(trial)
        rows += [
            {
                "run": run.label,
                "layer": layer,
                "component": group[0].component,
                "position": group[0].position,
                **mean([trial.drop for trial in group], sampled=run.sampled),
            }
            for layer, group in trials.items()
        ]
    rows.sort(key=lambda row: -row["value"])
    return Table(("run", "layer", "component", "position", *ESTIMATE), rows)


def draw(table: Table, styles: Styles) -> Figure:
    """The most harmful at the top, its component beside it."""
    components = {row["layer"]: row["component"] for row in table.rows}
    layers = table.values("layer")[:MOST]
    figure = new_figure(MARGIN + LINE * len(layers))
    axes = figure.subplots()
    draw_forest(axes, table, "layer", layers, styles)
    axes.set_xlabel(HARM)
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(layers)), [components[layer] for layer in layers])
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)
    legend_above(figure, axes)
    return figure
