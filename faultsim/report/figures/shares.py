"""Shares of images, one panel a measure and one line a condition: drawn for several figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.campaign.summary import CellSummary
from faultsim.config.operators import struck
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.style import INK, Styles, abreast, bars, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, estimate

COLUMNS = ("run", "condition", "measure", *ESTIMATE)
MOST, LEAST = 10, 3  # conditions drawn of a campaign
ROOM = 60  # lines in a figure, shared by its campaigns
LINE, MARGIN = 0.17, 0.75  # inches
ABREAST = 4  # panels
Lines = Sequence[tuple[str, str | None]]
"""Of a figure, top to bottom: a run and its condition, or None for the line of its name."""


def condition(run: RecordedCampaign, cell: Mapping[str, object]) -> str:
    """The labels of a cell in words."""
    words: dict[str, Callable[[Any], str]] = {
        "flips": lambda v: struck(str(run.config["op"]), v),
        "events": lambda v: f"{v} event" if v == 1 else f"{v} events",
        "hours": lambda v: f"{v:g} hours",
        "ber": lambda v: f"BER {v:g}",
        "bit": lambda v: f"bit {v}",
    }
    return ", ".join(words.get(name, str)(value) for name, value in cell.items())


def rows(run: RecordedCampaign, cell: CellSummary, measures: Sequence[str]) -> list[Row]:
    """A row for each measure that the cell has."""
    known = {**cell.rates, "any_sdc": cell.any_sdc, "any_due": cell.any_due, **cell.diagnosis}
    common = {"run": run.label, "condition": condition(run, cell.cell)}
    return [
        {**common, "measure": name, **estimate(known[name])} for name in measures if name in known
    ]


def draw_shares(
    table: Table, styles: Styles, names: Mapping[str, str], harm: Mapping[str, int]
) -> Figure:
    """Bars with intervals.

    Args:
        table: With the columns :data:`COLUMNS`.
        styles: Of the runs.
        names: Headings of the measures, in order.
        harm: How much each measure counts when the most harmful conditions are chosen.
    """
    lines = lines_of(table, harm)
    columns = min(abreast(ABREAST), len(names))
    rows = -(-len(names) // columns)
    figure = new_figure((MARGIN + LINE * len(lines)) * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, (measure, heading) in zip(panels.flat, names.items(), strict=False):
        _panel(axes, table.where(measure=measure), lines, styles)
        axes.set_title(heading)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for row in panels:
        name_lines(row[0], lines)
    return figure


def lines_of(table: Table, harm: Mapping[str, int]) -> Lines:
    """The lines of a figure: the more campaigns, the fewer conditions of each.

    Args:
        table: With the columns ``run``, ``condition``, ``measure`` and ``value``.
        harm: How much each measure counts when the most harmful conditions are chosen.
    """
    runs = table.values("run")
    most = max(LEAST, min(MOST, ROOM // len(runs)))
    lines: list[tuple[str, str | None]] = []
    for run in runs:
        chosen = _most_harmful(table.where(run=run), harm, most)
        lines += [(run, None), *((run, name) for name in chosen)]
    return lines


def _most_harmful(part: Table, harm: Mapping[str, int], most: int) -> list[str]:
    """The conditions in their own order; of too many, the most harmful ones first."""
    score = dict.fromkeys(part.values("condition"), 0.0)
    for row in part.rows:
        score[row["condition"]] += harm.get(row["measure"], 0) * row["value"]
    if len(score) <= most:
        return list(score)
    ranked = sorted(score, key=lambda name: -score[name])[:most]
    return [name for name in ranked if score[name] > 0] or ranked[:1]


def _panel(axes: Axes, part: Table, lines: Lines, styles: Styles) -> None:
    found: dict[tuple[str, str | None], Row] = {
        (row["run"], row["condition"]): row for row in part.rows
    }
    drawn = [(y, found[line]) for y, line in enumerate(lines) if line in found]
    heights, rows = [y for y, _ in drawn], [row for _, row in drawn]
    values = [row["value"] for row in rows]
    colours = [styles[row["run"]].colour for row in rows]
    axes.barh(heights, values, height=0.62, color=colours, alpha=0.5, linewidth=0)
    axes.errorbar(
        values, heights, xerr=bars(rows), color=INK, fmt="|", markersize=5, elinewidth=0.9,
        capsize=2,
    )  # fmt: skip
    axes.set_xlim(0, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.xaxis.tick_top()
    axes.grid(axis="y", visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def name_lines(axes: Axes, lines: Lines) -> None:
    """Names runs, in bold, and their conditions beside a panel of lines."""
    axes.set_yticks(range(len(lines)), [run if c is None else c for run, c in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    for text, (_, name) in zip(axes.get_yticklabels(), lines, strict=True):
        if name is None:
            text.set_fontweight("bold")
