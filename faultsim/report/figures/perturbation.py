"""Accuracy and AUC against the strength of a perturbation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from faultsim.report.figures.variants import strength, variants
from faultsim.report.perturbations import PerturbedRow, RecordedPerturbation
from faultsim.report.sources import Sources
from faultsim.report.style import INK, LINES, WIDTH, Styles, interval, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, estimate

NAME = "perturbation"
TITLE = "Accuracy under perturbed inputs"
CAPTION = (
    "Accuracy and AUC on perturbed test images against the strength of the perturbation, one "
    "panel a kind; the thin lines are the clean images."
)
AXES = {
    "eps": "ε × 255",
    "fraction": "fraction dropped",
    "sigma": "σ",
    "radius": "radius, pixels",
}
KINDS = {
    "fgsm": "FGSM",
    "pgd": "PGD",
    "patch-drop": "patch drop",
    "gaussian-noise": "Gaussian noise",
}
KINDS["defocus-blur"] = "defocus blur"
MOST_TICKS = 5
GOLDEN = (0, (6, 3))


def table(sources: Sources) -> Table:
    """A row for each run, setting and measure, the clean value beside it."""
    columns = (
        "run", "kind", "setting", "variant", "parameter", "strength", "measure", "clean", *ESTIMATE,
    )  # fmt: skip
    return Table(columns, [row for run in sources.perturbations for row in _rows(run)])


def _rows(run: RecordedPerturbation) -> Iterator[Row]:
    variant = variants(run.rows)
    for row in run.rows:
        parameter = strength(row.parameters)
        if parameter is None:
            continue
        for measure in ("accuracy", "auc"):
            if measure in row.measures and measure in run.clean.measures:
                yield {
                    "run": run.label,
                    "kind": row.kind,
                    "setting": row.setting,
                    "variant": variant[row.setting],
                    "parameter": parameter,
                    "strength": row.parameters[parameter],
                    "measure": measure,
                    "clean": run.clean.measures[measure].value,
                    **_estimate(row, measure),
                }


def _estimate(row: PerturbedRow, measure: str) -> dict[str, Any]:
    return estimate(row.measures[measure])


def draw(table: Table, styles: Styles) -> Figure:
    """A column for each kind, a line of panels for each measure."""
    kinds = list(dict.fromkeys((row["kind"], row["parameter"]) for row in table.rows))
    measures = table.values("measure")
    figure = new_figure(0.9 + 1.7 * len(measures), max(3.5, min(WIDTH, 1.9 * len(kinds))))
    panels = figure.subplots(len(measures), len(kinds), sharex="col", sharey="row", squeeze=False)
    for line, measure in zip(panels, measures, strict=True):
        for axes, (kind, parameter) in zip(line, kinds, strict=True):
            part = table.where(kind=kind, parameter=parameter, measure=measure)
            _panel(axes, part, styles)
        line[0].set_ylabel("AUC" if measure == "auc" else "accuracy")
        line[0].set_ylim(-0.02, 1.03)
    for axes, (kind, _) in zip(panels[0], kinds, strict=True):
        axes.set_title(KINDS.get(kind, kind))
    for axes, (kind, parameter) in zip(panels[-1], kinds, strict=True):
        axes.set_xlabel(AXES.get(parameter, parameter))
        _ticks(axes, table.where(kind=kind, parameter=parameter))
    _legend(figure, table, styles)
    return figure


def _panel(axes: Axes, part: Table, styles: Styles) -> None:
    lines = dict(zip(part.values("variant"), cycle(LINES), strict=False))
    for run in part.values("run"):
        own = part.where(run=run)
        axes.axhline(own.rows[0]["clean"], color=styles[run].colour, lw=0.8, ls=GOLDEN)
        for variant in own.values("variant"):
            rows = sorted(own.where(variant=variant).rows, key=lambda row: row["strength"])
            x = [_scaled(row) for row in rows]
            interval(axes, x, rows, styles[run], line=lines[variant])


def _ticks(axes: Axes, part: Table) -> None:
    """The strengths themselves, where they are few."""
    strengths = sorted({_scaled(row) for row in part.rows})
    if len(strengths) <= MOST_TICKS:
        axes.set_xticks(strengths, [f"{x:.3g}" for x in strengths])


def _legend(figure: Figure, table: Table, styles: Styles) -> None:
    """Colour and marker tell the run, the line tells the variant."""
    runs, handles = table.values("run"), []
    for run in runs if len(runs) > 1 else ():
        colour, marker = styles[run].colour, styles[run].marker
        handles.append(Line2D([], [], color=colour, ls="", marker=marker, label=run))
    for kind in table.values("kind"):
        for variant, line in zip(
            table.where(kind=kind).values("variant"), cycle(LINES), strict=False
        ):
            if variant:
                name = f"{KINDS.get(kind, kind)}, {variant}"
                handles.append(Line2D([], [], color=INK, ls=line, label=name))
    handles.append(Line2D([], [], color=INK, lw=0.8, ls=GOLDEN, label="clean images"))
    figure.legend(handles=handles, loc="outside upper left", ncols=4)


def _scaled(row: Row) -> float:
    return float(row["strength"]) * (255 if row["parameter"] == "eps" else 1)
