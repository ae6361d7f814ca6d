"""Components of the network, and early against late layers."""

from __future__ import annotations

from matplotlib.figure import Figure

from faultsim.report.campaigns import RecordedCampaign, most_telling
from faultsim.report.figures.forest import HARM, LINE, MARGIN, draw_forest
from faultsim.report.localised import BY_LAYER, THIRDS, localised
from faultsim.report.sources import Sources
from faultsim.report.style import Styles, legend_above, limits, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, mean

NAME = "components"
TITLE = "Vulnerability by component and position"
CAPTION = (
    "Mean drop of test accuracy after random faults in one layer, over all trials in the "
    "component (left) and over all trials in a third of the layers, in the model's order (right)."
)


def table(sources: Sources) -> Table:
    """A row for each campaign and part, the largest drop first; positions in their order."""
    rows = [row for run in most_telling(sources.campaigns, BY_LAYER) for row in _rows(run)]
    rows.sort(key=lambda row: (row["grouping"], _order(row)))
    return Table(("run", "grouping", "part", *ESTIMATE), rows)


def _rows(run: RecordedCampaign) -> list[Row]:
    drops: dict[tuple[str, str], list[float]] = {}
    for trial in localised(run):
        for key in (("component", trial.component), ("position", trial.position)):
            drops.setdefault(key, []).append(trial.drop)
    return [
        {"run": run.label, "grouping": grouping, "part": part} | mean(values, sampled=run.sampled)
        for (grouping, part), values in drops.items()
    ]


def _order(row: Row) -> float:
    return THIRDS.index(row["part"]) if row["part"] in THIRDS else -float(row["value"])


def draw(table: Table, styles: Styles) -> Figure:
    """Components on the left, positions on the right, on one scale."""
    parts = table.where(grouping="component").values("part")
    figure = new_figure(MARGIN + LINE * max(len(parts), len(THIRDS)) * 1.3)
    left, right = figure.subplots(1, 2, sharex=True, width_ratios=(3, 2))
    for axes, grouping in ((left, "component"), (right, "position")):
        part = table.where(grouping=grouping)
        draw_forest(axes, part, "part", part.values("part"), styles)
        axes.set_title(grouping)
    left.set_xlim(limits(table.rows))  # of both panels
    figure.supxlabel(HARM, fontsize="medium")
    legend_above(figure, left)
    return figure
