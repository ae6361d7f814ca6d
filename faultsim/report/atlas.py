"""An atlas: what recorded campaigns know of all models, on one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

import faultsim
from faultsim.campaign.lines import Line
from faultsim.errors import ConfigError
from faultsim.report.campaigns import RecordedCampaign, single_flips
from faultsim.report.figures import bits, heatmap, layers
from faultsim.report.labels import model_and_data
from faultsim.report.page import asset, environment
from faultsim.report.paying import which_pays
from faultsim.report.ranking import warning
from faultsim.report.render import draw_figures, inline_svg
from faultsim.report.sources import Sources, read_sources
from faultsim.report.table import ESTIMATE, Row, Table, estimate
from faultsim.report.words import plural
from faultsim.report.write import write_page
from faultsim.stats import Estimate, image_rate

SHOWN = (layers, bits, heatmap)
"""The figures of each model, the longest last."""

PLACE = ("target", "op")


@dataclass(frozen=True)
class Chapter:
    """What is known of one model on its data.

    Attributes:
        name: Of both.
        anchor: Where the page has it.
        layers: Failure rates by layer.
        bits: Failure rates by bit.
        figures: Title, and the drawing for wide and for narrow screens.
        doubts: How far rankings of layers can be trusted.
    """

    name: str
    anchor: str
    layers: Table
    bits: Table
    figures: list[tuple[str, Markup, Markup]]
    doubts: list[str]


def write_atlas(directories: Sequence[str | Path], out: str | Path = "atlas.html") -> Path:
    """Writes the page of all campaigns in directories and below.

    Raises:
        ConfigError: There is no campaign, or the page cannot be written.
        JournalError: A record is damaged.
    """
    sources = read_sources(directories)
    runs = sources.campaigns
    if not runs:
        raise ConfigError("an atlas is made of campaigns, and there is none in these directories")
    subjects = by_subject(runs)
    chapters = [_chapter(*item, n) for n, item in enumerate(subjects.items(), start=1)]
    paid = which_pays(runs, sources.protections)
    text = (
        environment()
        .get_template("atlas.html")
        .render(
            title="Atlas of reliability",
            subtitle=_subtitle(chapters, runs),
            contents=_contents(chapters, paid),
            chapters=chapters,
            overview=overview(subjects),
            paid=paid,
            style=Markup(asset("report.css")),
            script=Markup(asset("report.js")),
            version=faultsim.__version__,
        )
    )
    write_page(Path(out), text)
    return Path(out)


def by_subject(runs: Sequence[RecordedCampaign]) -> dict[str, list[RecordedCampaign]]:
    """The campaigns of each model on its data."""
    subjects: dict[str, list[RecordedCampaign]] = {}
    for run in runs:
        subjects.setdefault(model_and_data(run), []).append(run)
    return subjects


def _subtitle(chapters: Sequence[Chapter], runs: Sequence[RecordedCampaign]) -> str:
    counts = {"model": len(chapters), "campaign": len(runs)}
    counts["trial"] = sum(len(run.lines) for run in runs)
    return ", ".join(f"{n:,} {plural(name, n)}" for name, n in counts.items())


def _contents(chapters: Sequence[Chapter], paid: Table) -> list[tuple[str, str]]:
    """Anchors and headings, in the order of the page."""
    protected = [("protections", "Which protection pays")] if paid.rows else []
    chapter = [(chapter.anchor, chapter.name) for chapter in chapters]
    return [("overview", "At a glance"), *protected, *chapter]


def overview(subjects: dict[str, list[RecordedCampaign]]) -> Table:
    """A row for each model and target: the failure rate of one random fault, and the worst one."""
    rows = [row for name, runs in subjects.items() for row in _overview(name, runs)]
    columns = ("model and data", "target", "trials", "one fault fails", "worst flip", "leaves")
    return Table(columns, rows)


def _overview(name: str, runs: Sequence[RecordedCampaign]) -> Iterator[Row]:
    for target in dict.fromkeys(str(run.config["target"]) for run in runs):
        own = [run for run in runs if run.config["target"] == target]
        told = [found for run in own if (found := _of_one_fault(run)) is not None]
        known = max(told, key=lambda found: found.n, default=None)
        fault, leaves = _worst(own)
        yield {
            "model and data": name,
            "target": target,
            "trials": sum(len(run.lines) for run in own),
            "one fault fails": None if known is None else str(known),
            "worst flip": fault,
            "leaves": leaves,
        }


def _of_one_fault(run: RecordedCampaign) -> Estimate | None:
    """The share of samples that one fault corrupts, SDC or DUE, drawn from all bits of a target."""
    config = run.config
    if config["bits"] != "all" or config.get("include") or config.get("exclude"):
        return None  # of a part of it
    told = run.summary.estimate if run.summary else None
    if told is not None:
        return Estimate(told.value, told.low, told.high, told.n, told.method)
    lines = [line for line in run.lines if len(line.faults) == 1 and not line.searching]
    whole = run.mode == "random" or (run.mode == "exhaustive" and run.summary is not None)
    return _failures(run, lines) if lines and whole else None


def _failures(run: RecordedCampaign, lines: Sequence[Line]) -> Estimate:
    found = image_rate([line.sdc + line.due for line in lines], [line.n for line in lines])
    if run.sampled:
        return found
    return Estimate(found.value, None, None, found.n, "exhaustive")


def _worst(runs: Sequence[RecordedCampaign]) -> tuple[str | None, str | None]:
    """The single fault that left least of what counts, searched or drawn, and what it left.

    What was tried on one sample alone tells nothing of the others.
    """
    found: list[tuple[float, str, str]] = []
    for run in (one for one in runs if one.config.get("granularity") != "inference"):
        for record in run.summary.damaging if run.summary else ():
            score = record.acc if record.score is None else float(record.score)
            if len(run.lines[record.trial].faults) == 1 and score is not None:
                objective = run.objective
                left = f"{objective.title} {objective.text(score)}"
                found.append((score, record.faults[0], f"{left}, was {objective.text(run.worth)}"))
    worst = min(found, default=None)
    return (None, None) if worst is None else worst[1:]


def _chapter(name: str, runs: list[RecordedCampaign], number: int) -> Chapter:
    made = {one.module: one for one in draw_figures(Sources(runs, []))}
    drawn = [made[module] for module in SHOWN if module in made]
    prefix = f"model-{number}"
    figures = [
        (
            one.title,
            Markup(inline_svg(one, prefix=prefix)),
            Markup(inline_svg(one, prefix=prefix, narrow=True)),
        )
        for one in drawn
    ]
    doubts = [f"{run.label}: {doubt}" for run in runs if (doubt := warning(run))]
    return Chapter(name, prefix, _by(runs, "layer"), _by(runs, "bit"), figures, doubts)


def _by(runs: Sequence[RecordedCampaign], what: str) -> Table:
    """Failure rates by layer or bit, the highest first within a campaign."""
    rows = [row for run in runs for row in _rows(run, what)]
    return Table(("run", *PLACE, "faults", what, *ESTIMATE), rows)


def _rows(run: RecordedCampaign, what: str) -> list[Row]:
    told = run.summary.estimate if run.summary else None
    found: list[tuple[object, int, Estimate]]
    common = {"run": run.label, **{name: run.config[name] for name in PLACE}}
    if told is not None:
        parts = [part for part in told.parts if what in part.cell and part.n]
        found = [
            (
                part.cell[what],
                1,
                Estimate(float(part.value), part.low, part.high, part.n, part.method),
            )
            for part in parts
        ]
    else:
        found = [
            (place, faults, _failures(run, lines))
            for (place, faults), lines in _groups(run, what).items()
        ]
    rows = [{**common, "faults": n, what: place, **estimate(rate)} for place, n, rate in found]
    return sorted(rows, key=lambda row: -row["value"])


def _groups(run: RecordedCampaign, what: str) -> dict[tuple[object, int], list[Line]]:
    """Trials by what they struck, where it was one layer or one bit, and by how many faults."""
    groups: dict[tuple[object, int], list[Line]] = {}
    labelled = [line for line in run.lines if what in line.cell and not line.searching]
    if labelled:
        for line in labelled:
            groups.setdefault((line.cell[what], line.flips), []).append(line)
    elif run.mode in ("random", "exhaustive"):
        for flips in single_flips(run):
            lines = (run.lines[number] for number in flips.trials)
            groups.setdefault((getattr(flips, what), 1), []).extend(lines)
    return groups
