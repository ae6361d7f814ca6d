"""Shares of images, one panel a measure and one line a condition: drawn for several figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.campaign.summary import CellSummary
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.style import INK, Styles, bars, new_figure
from faultsim.report.table import ESTIMATE, Row, Table, estimate

COLUMNS = ("run", "condition", "measure", *ESTIMATE)
MOST = 10  # conditions drawn of a campaign
LINE, MARGIN = 0.17, 0.75  # inches


def condition(cell: Mapping[str, object]) -> str:
    """The labels of a cell in words."""
    words = {
        "flips": lambda v: f"{v} flip" if v == 1 else f"{v} flips",
        "ber": lambda v: f"BER {v:g}",
        "bit": lambda v: f"bit {v}",
    }
    return ", ".join(words.get(name, str)(value) for name, value in cell.items())


def rows(run: RecordedCampaign, cell: CellSummary, measures: Sequence[str]) -> list[Row]:
    """A row for each measure that the cell has."""
    known = {**cell.rates, **cell.diagnosis}
    common = {"run": run.label, "condition": condition(cell.cell)}
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
    lines: list[tuple[str, str | None]] = []
    for run in table.values("run"):
        part = table.where(run=run)
        lines += [(run, None), *((run, c) for c in _most_harmful(part, harm))]
    figure = new_figure(MARGIN + LINE * len(lines))
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, (measure, heading) in zip(panels, names.items(), strict=True):
        _panel(axes, table.where(measure=measure), lines, styles)
        axes.set_title(heading)
    _names(panels[0], lines)
    return figure


def _most_harmful(part: Table, harm: Mapping[str, int]) -> list[str]:
    """The conditions in their own order; of too many, the most harmful ones first."""
    score = dict.fromkeys(part.values("condition"), 0.0)
    for row in part.rows:
        score[row["condition"]] += harm.get(row["measure"], 0) * row["value"]
    if len(score) <= MOST:
        return list(score)
    ranked = sorted(score, key=lambda name: -score[name])[:MOST]
    return [name for name in ranked if score[name] > 0] or ranked[:1]


def _panel(
    axes: Axes, part: Table, lines: Sequence[tuple[str, str | None]], styles: Styles
) -> None:
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


def _names(axes: Axes, lines: Sequence[tuple[str, str | None]]) -> None:
    axes.set_yticks(range(len(lines)), [run if c is None else c for run, c in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    for text, (_, name) in zip(axes.get_yticklabels(), lines, strict=True):
        if name is None:
            text.set_fontweight("bold")
