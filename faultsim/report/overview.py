"""The tables of a report that are no figure's: what was run, golden runs, most damaging trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from faultsim.campaign.findings import Damaging
from faultsim.report import words
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.figures.shares import condition
from faultsim.report.labels import model_and_data
from faultsim.report.perturbations import MEASURES, RecordedPerturbation
from faultsim.report.sources import Sources
from faultsim.report.table import ESTIMATE, Table, estimate
from faultsim.run.outcome import Outcome

MOST_TRIALS = 10  # most damaging ones, of each campaign
MOST_FAULTS = 3  # shown of a trial
MAY_GO = ("seed", "state", "model and data")  # they are with the configuration too
GOLDEN = {
    "acc": "accuracy", "auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity",
}  # fmt: skip
"""Scores of classifiers, and what people call them; those of other tasks have their own names."""


def title(sources: Sources) -> str:
    """Names model and data where there is one of each."""
    runs: list[words.Run] = [*sources.campaigns, *sources.perturbations, *sources.protections]
    subjects = dict.fromkeys(map(model_and_data, runs))
    return f"Reliability of {next(iter(subjects))}" if len(subjects) == 1 else "Reliability report"


def subtitle(sources: Sources) -> str:
    """How much there is."""
    trials = sum(len(run.lines) for run in sources.campaigns)
    told = [
        (len(sources.campaigns), "fault-injection campaign"),
        (trials, "trial"),
        (len(sources.perturbations), "perturbation run"),
        (len(sources.protections), "comparison of protections"),
    ]
    return ", ".join(f"{n:,} {words.plural(name, n)}" for n, name in told if n)


def campaigns(sources: Sources) -> Table:
    """What was run, a row each; where nothing differs in a column, it is left to the title."""
    unit = _unit(sources.campaigns)
    rows = [
        {
            "run": run.label,
            "mode": run.mode,
            "target": run.config["target"],
            "faults": words.faults(run),
            "bits": f"{run.config['bits']}, {run.config['op']}",
            "trials": len(run.lines),
            "state": "finished" if run.summary is not None else "unfinished",
            "seed": str(run.config["seed"]),
            unit: run.golden.n,
            "model and data": model_and_data(run),
            "task": run.task or None,
            "perturbed by": run.config.get("perturb"),
        }
        for run in sources.campaigns
    ]
    values = {name: {row[name] for row in rows} for row in rows for name in row}
    may_go = (*MAY_GO, unit)
    dull = [name for name in may_go if len(rows) > 1 and len(values[name]) == 1]
    dull += [name for name, found in values.items() if found == {None}]
    return Table(tuple(name for name in values if name not in dull), rows)


def golden(campaigns: Sequence[RecordedCampaign]) -> Table:
    """The models without faults, once where several campaigns share the run.

    On perturbed images too, where a campaign had such.
    """
    rows: list[dict[str, Any]] = []
    unit = _unit(campaigns)
    for run in campaigns:
        perturbed = run.config.get("perturb") or "clean"
        for images, outcome in (("clean", run.clean), (perturbed, run.golden)):
            if outcome is not None:
                row = {"model and data": model_and_data(run), "on": images, unit: outcome.n}
                rows.append(row | _scores(outcome))
    rows = [row for number, row in enumerate(rows) if row not in rows[:number]]
    known = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    shown = [name for name in known if name not in ("model and data", "on", unit)]
    states = ("on",) if any(row["on"] != "clean" for row in rows) else ()
    columns = ("model and data", *states, unit, *shown)
    return Table(columns, [dict.fromkeys(columns) | row for row in rows])


def _unit(campaigns: Sequence[RecordedCampaign]) -> str:
    """What the samples of all are called."""
    units = {run.objective.unit for run in campaigns}
    return units.pop() if len(units) == 1 else "samples"


def _scores(outcome: Outcome) -> dict[str, Any]:
    """Of a golden run, under the names that people know."""
    if outcome.of_images:
        return {name: outcome.metrics.get(key) for key, name in GOLDEN.items()}
    return dict(outcome.metrics)


def clean(runs: Sequence[RecordedPerturbation]) -> Table:
    """The models of perturbation runs on images as they are."""
    rows = [
        {"run": run.label, "model and data": model_and_data(run), "measure": name}
        | estimate(run.clean.measures[name])
        for run in runs
        for name in MEASURES
        if name in run.clean.measures
    ]
    return Table(("run", "model and data", "measure", *ESTIMATE), rows)


def damaging_sections(
    runs: Sequence[RecordedCampaign],
) -> list[tuple[str, Table, Mapping[str, Sequence[str]]]]:
    """Label, most damaging trials, and searched faults by curve, of each campaign that has some."""
    found: list[tuple[str, Table, Mapping[str, Sequence[str]]]] = []
    for run in runs:
        worst, records = (run.summary.worst, run.summary.damaging) if run.summary else ({}, [])
        curves = {curve: faults for curve, faults in worst.items() if faults}
        table = damaging(run, records)
        if table.rows or curves:
            found.append((run.label, table, curves))
    return found


def damaging(run: RecordedCampaign, records: Sequence[Damaging]) -> Table:
    """The trials that left least of what counts, with their faults, as the summary keeps them."""
    title = run.objective.title
    rows = [
        {
            "trial": record.trial,
            "condition": condition(run, record.cell),
            title: score,
            "drop": run.worth - score,
            "faults": _shown(record.faults, len(run.lines[record.trial].faults)),
        }
        for record in records[:MOST_TRIALS]
        if (score := _score(record)) is not None
    ]
    return Table(("trial", "condition", title, "drop", "faults"), rows)


def _score(record: Damaging) -> float | None:
    found = record.acc if record.score is None else record.score
    return None if found is None else float(found)


def _shown(faults: Sequence[str], struck: int) -> str:
    more = struck - MOST_FAULTS
    return "\n".join([*faults[:MOST_FAULTS], *([f"and {more:,} more"] if more > 0 else [])])
