"""How harm is spread over the trials of a campaign with one condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.report.campaigns import NAMES, RecordedCampaign
from faultsim.report.sources import Sources
from faultsim.report.style import Style, Styles, legend_above, new_figure, own_scale, percent_axis
from faultsim.report.table import ESTIMATE, Row, Table, estimate
from faultsim.stats import Estimate, clopper_pearson

NAME = "distribution"
TITLE = "Harm over the trials"
CAPTION = (
    "Of campaigns with one condition, the share of trials that did at least so much harm: in "
    "{samples} with silent data corruption (SDC) or a detected error (DUE) and, where the task has "
    "a score, in that score lost; a trial that left nothing finite counts as more than any. The "
    "dot is the share of trials that did any harm. Bands are the intervals, point by point."
)
HARMED, UNHARMED, IDENTICAL = "harmed", "no harm", "bit-identical"
LEAST = 2  # trials
MOST = 200  # points of a curve
HEIGHT = 2.9  # inches


def table(sources: Sources) -> Table:
    """Of each campaign with a single condition, two curves and two shares of trials.

    ``measure`` is ``harmed`` or the objective of the campaign, for which ``at_least`` is how much
    was harmed or lost; ``no harm``, where no sample was; ``bit-identical``, where no output was
    other than in the golden run. ``percent`` says whether ``at_least`` is a part of a whole.
    """
    columns = (*NAMES, "measure", "percent", "at_least", *ESTIMATE)
    return Table(columns, [row for run in sources.campaigns for row in _rows(run)])


def _rows(run: RecordedCampaign) -> Iterator[Row]:
    lines = [line for line in run.lines if not line.searching]
    if len(run.cells) != 1 or len(lines) < LEAST:
        return
    harmed = np.array([(line.sdc + line.due) / line.n for line in lines])
    yield from _curve(run, HARMED, harmed, percent=True)
    objective = run.objective
    if objective.key:
        lost = run.drops[[line.trial for line in lines]]
        finite = np.where(np.isfinite(lost), lost, np.inf)
        yield from _curve(run, objective.title, finite, percent=objective.share)
    identical = np.array([line.masked == line.n for line in lines])
    for name, trials in ((UNHARMED, harmed == 0), (IDENTICAL, identical)):
        share = _share(run, int(trials.sum()), len(lines))
        yield {**run.names, "measure": name, "percent": None, "at_least": None, **share}


def _curve(
    run: RecordedCampaign, measure: str, harm: np.ndarray, *, percent: bool
) -> Iterator[Row]:
    """A row for each amount of harm that a trial did, or for enough of them."""
    amounts = np.unique(harm[harm > 0])
    if len(amounts) > MOST:
        amounts = amounts[np.linspace(0, len(amounts) - 1, MOST).round().astype(int)]
    for amount in map(float, amounts):
        share = _share(run, int((harm >= amount).sum()), len(harm))
        known = {"measure": measure, "percent": percent, "at_least": amount}
        yield {**run.names, **known, **share}


def _share(run: RecordedCampaign, trials: int, n: int) -> Row:
    exact = Estimate(trials / n, None, None, n, "exhaustive")
    return estimate(clopper_pearson(trials, n) if run.sampled else exact)


def draw(table: Table, styles: Styles) -> Figure:
    """A panel for each measure, a curve for each campaign."""
    curves = [m for m in table.values("measure") if m not in (UNHARMED, IDENTICAL)] or [HARMED]
    figure = new_figure(HEIGHT)
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, curves, strict=True):
        _panel(axes, table, measure, styles)
    panels[0].set_ylabel("share of trials")
    panels[0].set_ylim(bottom=0)
    percent_axis(panels[0].yaxis)
    legend_above(figure, *panels, columns=1)
    if len(table.values("run")) == 1:
        figure.suptitle(_no_harm(table), fontsize="medium", x=0, ha="left")
    return figure


def _panel(axes: Axes, table: Table, measure: str, styles: Styles) -> None:
    part = table.where(measure=measure)
    for run in table.values("run"):
        own, of_run = part.where(run=run), table.where(run=run)
        if own.rows or measure == HARMED:
            name = of_run.rows[0]["series"]
            _step(axes, own.rows, styles[run], f"{name}: {_no_harm(of_run)}")
    what = "samples with SDC or DUE" if measure == HARMED else f"{measure} lost"
    axes.set_xlabel(f"at least so much: {what}")
    _scale(axes, part)


def _step(axes: Axes, rows: Sequence[Row], style: Style, label: str) -> None:
    """The share of trials above the amount of harm; what is not finite is right of the axes."""
    first = rows[0] if rows else {"at_least": 0.0, "value": 0.0, "low": None, "high": None}
    steps = [{**first, "at_least": 0.0}, *rows]
    amounts = [row["at_least"] for row in steps]
    values = [row["value"] for row in steps]
    axes.step(amounts, values, where="pre", color=style.colour, label=label)
    axes.plot([0], values[:1], color=style.colour, marker=style.marker, clip_on=False)
    if all(row["low"] is not None for row in steps):
        low, high = ([row[name] for row in steps] for name in ("low", "high"))
        axes.fill_between(amounts, low, high, step="pre", color=style.colour, alpha=0.15, lw=0)


def _no_harm(part: Table) -> str:
    """How many trials did none, in words."""
    found = {row["measure"]: row["value"] for row in part.rows if row["at_least"] is None}
    identical = found[IDENTICAL]
    return (
        f"no sample harmed in {found[UNHARMED]:.1%} of trials, every output bit-identical in "
        f"{identical:.1%}"
    )


def _scale(axes: Axes, part: Table) -> None:
    amounts = [row["at_least"] for row in part.rows if np.isfinite(row["at_least"])]
    if part.values("percent") == [False]:
        own_scale(axes.xaxis, amounts)
    else:
        percent_axis(axes.xaxis)
    axes.set_xlim(left=0)
