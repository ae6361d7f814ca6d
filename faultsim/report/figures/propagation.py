"""Where errors travel: how far each output strays, by the depth at which faults struck."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faultsim.campaign.observed import Strayed
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.propagation import BANDS, UNKNOWN, travelled
from faultsim.report.sources import Sources
from faultsim.report.style import Styles, legend_above, new_figure, own_scale, percent_axis
from faultsim.report.style import styles as make_styles
from faultsim.report.table import ESTIMATE, Row, Table, estimate
from faultsim.stats import Estimate, image_rate

NAME = "propagation"
TITLE = "Where errors travel"
CAPTION = (
    "Outputs of modules in the order of the pass, under faults against the golden run, by the "
    "third of the pass in which a trial's first fault struck: samples in which a bit of the output "
    "differs, words of it that differ, words made infinite or NaN, means over samples and trials; "
    "and the median over the trials that touched the output of its mean relative deviation "
    "‖faulty - golden‖₂ / ‖golden‖₂. Where samples cannot be told apart, an output counts as one. "
    "Of several campaigns the first three are drawn, the table has all."
)
DEVIATION = "relative deviation"
SHARES = ("samples touched", "words changed", "words not finite")
MOST = 3  # campaigns drawn
NAMED = 24  # outputs that have room for their names
HEIGHT = 1.35  # inches, of a panel


def table(sources: Sources) -> Table:
    """A row for each observed campaign, band of struck depths, output and measure.

    ``depth`` is the position of the output in the golden pass, from 0.
    """
    columns = ("run", "struck", "depth", "site", "measure", *ESTIMATE)
    return Table(columns, [row for run in sources.campaigns for row in _rows(run)])


def _rows(run: RecordedCampaign) -> Iterator[Row]:
    trials = list(travelled(run))
    for band in (*BANDS, UNKNOWN):
        group = [trial for trial in trials if trial.band == band]
        for depth, (site, samples) in enumerate(run.observed_samples.items()):
            known = {"run": run.label, "struck": band, "depth": depth, "site": site}
            found = [trial.sites.get(site) for trial in group]
            for measure, share in _measured(found, samples, sampled=run.sampled):
                yield {**known, "measure": measure, **estimate(share)}


def _measured(
    found: Sequence[Strayed | None], samples: int, *, sampled: bool
) -> Iterator[tuple[str, Estimate]]:
    """Of one output over trials, of those that reached it; None did not stray."""
    reached = [(site, samples if site is None else site.n) for site in found]
    reached = [(site, n) for site, n in reached if n]
    if not reached:
        return
    counts = zip(*(_counts(site) for site, _ in reached), strict=True)
    for name, count in zip(SHARES, counts, strict=True):
        rate = image_rate(count, [n for _, n in reached])
        exact = Estimate(rate.value, None, None, rate.n, "exhaustive")
        yield name, rate if sampled else exact
    far = [float(s.deviation) for s, _ in reached if s and s.touched and s.deviation is not None]
    if far:
        yield DEVIATION, Estimate(median(far), None, None, len(far), "median")


def _counts(site: Strayed | None) -> tuple[float, float, float]:
    """Of :data:`SHARES`: how many samples, and how many samples' worth of words."""
    if site is None:
        return 0.0, 0.0, 0.0
    return site.touched, (site.changed or 0.0) * site.n, (site.nonfinite or 0.0) * site.n


def draw(table: Table, styles: Styles) -> Figure:
    """A column for each campaign, a panel for each measure, a line for each band."""
    runs = table.values("run")[:MOST]
    drawn = [name for name in (*SHARES, DEVIATION) if _any(table.where(measure=name))]
    figure = new_figure(1.4 + HEIGHT * len(drawn))
    panels = figure.subplots(len(drawn), len(runs), sharex="col", sharey="row", squeeze=False)
    for line, measure in zip(panels, drawn, strict=True):
        part = table.where(measure=measure)
        for axes, run in zip(line, runs, strict=True):
            _panel(axes, part.where(run=run))
        line[0].set_ylabel(measure)
        _scale(line[0], part, measure)
    for column, run in zip(panels.T, runs, strict=True):
        column[0].set_title(run if len(runs) > 1 else "")
        _name_outputs(column[-1], table.where(run=run))
    legend_above(figure, *panels.flat, columns=4)
    return figure


def _any(part: Table) -> bool:
    return any(row["value"] for row in part.rows)


def _panel(axes: Axes, part: Table) -> None:
    by_band = make_styles((*BANDS, UNKNOWN))
    for band in part.values("struck"):
        rows = part.where(struck=band).rows
        style, depths = by_band[band], [row["depth"] for row in rows]
        axes.plot(
            depths, [row["value"] for row in rows], color=style.colour, marker=style.marker,
            markeredgewidth=0, markersize=3.5, label=f"struck: {band}",
        )  # fmt: skip
        if all(row["low"] is not None for row in rows):
            low, high = ([row[name] for row in rows] for name in ("low", "high"))
            axes.fill_between(depths, low, high, color=style.colour, alpha=0.15, lw=0)


def _scale(axes: Axes, part: Table, measure: str) -> None:
    if measure == DEVIATION:
        own_scale(axes.yaxis, [v for v in part.values("value") if math.isfinite(v)])
    else:
        percent_axis(axes.yaxis)
    axes.set_ylim(bottom=0)


def _name_outputs(axes: Axes, part: Table) -> None:
    """By their names, or by their numbers where there are many."""
    names = {row["depth"]: row["site"] for row in part.rows}
    if len(names) <= NAMED:
        axes.set_xticks(list(names), list(names.values()), rotation=90, fontsize=7)
    else:
        axes.set_xlabel("output, in the order of the pass")
