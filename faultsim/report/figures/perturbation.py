"""Accuracy and AUC against the strength of a perturbation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.report.perturbations import PerturbedRow, RecordedPerturbation
from faultsim.report.sources import Sources
from faultsim.report.style import Styles, interval, legend_above, new_figure
from faultsim.report.style import styles as make_styles
from faultsim.report.table import ESTIMATE, Row, Table, estimate

NAME = "perturbation"
TITLE = "Accuracy under perturbed inputs"
CAPTION = (
    "Accuracy and AUC on perturbed test images against the strength of the perturbation, one "
    "panel a kind; the thin lines are the clean images."
)
STRENGTHS = ("severity", "eps", "fraction", "sigma", "radius")
"""Parameters that say how strong a perturbation is; the first that is given is the axis."""
AXES = {
    "eps": "ε × 255",
    "fraction": "fraction of patches dropped",
    "sigma": "standard deviation σ",
    "radius": "radius, pixels",
}
FOLLOW = ("step", "alias_sigma", *STRENGTHS)  # vary with the strength, so tell no series apart


def table(sources: Sources) -> Table:
    """A row for each run, setting and measure, the clean value beside it."""
    columns = (
        "run", "kind", "setting", "variant", "parameter", "strength", "measure", "clean", *ESTIMATE,
    )  # fmt: skip
    return Table(columns, [row for run in sources.perturbations for row in _rows(run)])


def _rows(run: RecordedPerturbation) -> Iterator[Row]:
    for row in run.rows:
        parameter = next((name for name in STRENGTHS if name in row.parameters), None)
        if parameter is None:
            continue
        for measure in ("accuracy", "auc"):
            if measure in row.measures and measure in run.clean.measures:
                yield {
                    "run": run.label,
                    "kind": row.kind,
                    "setting": row.setting,
                    "variant": _variant(row.parameters),
                    "parameter": parameter,
                    "strength": row.parameters[parameter],
                    "measure": measure,
                    "clean": run.clean.measures[measure].value,
                    **_estimate(row, measure),
                }


def _estimate(row: PerturbedRow, measure: str) -> dict[str, Any]:
    return estimate(row.measures[measure])


def _variant(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items() if name not in FOLLOW)


def draw(table: Table, styles: Styles) -> Figure:
    """A column for each kind, a line of panels for each measure."""
    kinds = list(dict.fromkeys((row["kind"], row["parameter"]) for row in table.rows))
    measures = table.values("measure")
    figure = new_figure(0.8 + 1.9 * len(measures), max(3.5, 1.9 * len(kinds)))
    panels = figure.subplots(len(measures), len(kinds), sharex="col", sharey="row", squeeze=False)
    for line, measure in zip(panels, measures, strict=True):
        for axes, (kind, parameter) in zip(line, kinds, strict=True):
            part = table.where(kind=kind, parameter=parameter, measure=measure)
            _panel(axes, part, styles)
        line[0].set_ylabel("AUC" if measure == "auc" else "accuracy")
        line[0].set_ylim(-0.02, 1.03)
    for axes, (kind, _) in zip(panels[0], kinds, strict=True):
        axes.set_title(kind)
    for axes, (_, parameter) in zip(panels[-1], kinds, strict=True):
        axes.set_xlabel(AXES.get(parameter, parameter))
    legend_above(figure, *panels[0])
    return figure


def _panel(axes: Axes, part: Table, styles: Styles) -> None:
    looks = make_styles(part.values("variant"))
    for run in part.values("run"):
        own = part.where(run=run)
        axes.axhline(own.rows[0]["clean"], color=styles[run].colour, lw=0.8, ls=(0, (6, 3)))
        for variant in own.values("variant"):
            rows = sorted(own.where(variant=variant).rows, key=lambda row: row["strength"])
            name = f"{run}, {variant}" if variant else run
            x = [_scaled(row) for row in rows]
            interval(axes, x, rows, styles[run], name, line=looks[variant].line)


def _scaled(row: Row) -> float:
    return float(row["strength"]) * (255 if row["parameter"] == "eps" else 1)
