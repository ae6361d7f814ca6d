"""Faults and a perturbation together, against each alone."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.report import words
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.figures.shares import LINE, MARGIN, Lines, condition, lines_of, name_lines
from faultsim.report.sources import Sources
from faultsim.report.style import (
    COLOURS,
    INK,
    MARKERS,
    Styles,
    bars,
    legend_above,
    new_figure,
    percent_axis,
)
from faultsim.report.table import ESTIMATE, Row, Table, estimate

NAME = "interplay"
TITLE = "Faults and perturbation together"
CAPTION = (
    "Test accuracy under faults alone, on the clean images, and under faults and perturbation "
    "both, means over the same trials; lines mark the model without faults, on clean images and "
    "perturbed alone. Excess loss: what both together take beyond the sum of what each takes "
    "alone. Of many conditions of a campaign those of the largest excess are drawn."
)
EXCESS = "excess loss"
DRAWN = ("faults alone", "both")
GOLDEN = {"clean": "-", "perturbed alone": ":"}
GAP = 0.18  # of a line, between what is drawn on it


def table(sources: Sources) -> Table:
    """A row for each campaign on perturbed images, condition and measure."""
    columns = ("run", "perturbation", "condition", "measure", *GOLDEN, *ESTIMATE)
    return Table(columns, [row for run in sources.campaigns for row in _rows(run)])


def _rows(run: RecordedCampaign) -> Iterator[Row]:
    clean = run.clean
    for cell in run.cells:
        if clean is None or not cell.interplay:
            continue
        measures = (cell.interplay["faults_alone"], cell.accuracy, cell.interplay["excess"])
        for name, found in zip((*DRAWN, EXCESS), measures, strict=True):
            yield {
                "run": run.label,
                "perturbation": words.images(run),
                "condition": condition(run, cell.cell),
                "measure": name,
                "clean": clean.acc,
                "perturbed alone": run.golden.acc,
                **estimate(found),
            }


def draw(table: Table, styles: Styles) -> Figure:
    """Accuracies on the left, the excess on the right, a line for each condition."""
    lines = lines_of(table, harm={EXCESS: 1})
    figure = new_figure(MARGIN + 0.5 + 1.4 * LINE * len(lines))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for number, name in enumerate(DRAWN):
        shift = GAP * (2 * number - 1)
        _points(left, table.where(measure=name), lines, shift, COLOURS[number], MARKERS[number])
    _golden(left, table, lines)
    _points(right, table.where(measure=EXCESS), lines, 0, INK, "o")
    right.axvline(0, color=INK, lw=0.6)
    left.set(xlabel="test accuracy", xlim=(-0.02, 1.03))
    right.set_xlabel("excess loss, percentage points")
    percent_axis(left.xaxis)
    right.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}")
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    name_lines(left, lines)
    legend_above(figure, left, columns=4)
    return figure


def _points(axes: Axes, part: Table, lines: Lines, shift: float, colour: str, marker: str) -> None:
    found = {(row["run"], row["condition"]): row for row in part.rows}
    drawn = [(y + shift, found[line]) for y, line in enumerate(lines) if line in found]
    rows = [row for _, row in drawn]
    axes.errorbar(
        [row["value"] for row in rows], [y for y, _ in drawn], xerr=bars(rows), fmt=marker,
        color=colour, label=part.rows[0]["measure"], markeredgewidth=0, elinewidth=0.9, capsize=1.5,
    )  # fmt: skip


def _golden(axes: Axes, table: Table, lines: Lines) -> None:
    """The runs without faults, each beside the conditions of its campaign."""
    for name, style in GOLDEN.items():
        runs = {row["run"]: row[name] for row in table.rows}
        heights = {run: [y for y, line in enumerate(lines) if line[0] == run] for run in runs}
        axes.vlines(
            list(runs.values()), [min(ys) + 0.5 for ys in heights.values()],
            [max(ys) + 0.5 for ys in heights.values()], color=INK, lw=1, ls=style, label=name,
        )  # fmt: skip
