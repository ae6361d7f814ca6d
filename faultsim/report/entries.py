"""How each run was configured, and how to have it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from faultsim.campaign.named_code import named_code
from faultsim.config import PerturbConfig
from faultsim.report import words
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.command import command_line, protect_line
from faultsim.report.labels import unused
from faultsim.report.perturbations import RecordedPerturbation
from faultsim.report.protections import RecordedProtections
from faultsim.report.sources import Sources

LIVE = {"work": "workload", "trials": "list of fault sets"}
"""What a manifest calls them, in words."""


@dataclass(frozen=True)
class Entry:
    """A run in the last section of the page.

    Attributes:
        anchor: Where the page has it.
        label: Of the run.
        directory: Where it was read.
        settings: Model, data and settings in one line.
        facts: Everything that was recorded of it, by name.
        commands: That give it again; none where it ran on live objects.
        live: What was live: the model, the data.
        kind: Of record: what tells figures of campaigns, perturbations and protections apart.
    """

    anchor: str
    label: str
    directory: str
    settings: str
    facts: list[tuple[str, Any]]
    commands: list[str]
    live: list[str]
    kind: type


def entries(sources: Sources) -> list[Entry]:
    """An entry for each run, campaigns first."""
    runs: list[words.Run] = [*sources.campaigns, *sources.perturbations, *sources.protections]
    return [_entry(run, f"run-{number}") for number, run in enumerate(runs, start=1)]


def _entry(run: words.Run, anchor: str) -> Entry:
    return Entry(
        anchor,
        run.label,
        str(run.directory),
        words.settings(run),
        _facts(run),
        _commands(run),
        [LIVE.get(name, name) for name in run.manifest.get("live", ())],
        type(run),
    )


def _commands(run: words.Run) -> list[str]:
    """The run again; of a campaign its most damaging trial too, or the first."""
    if run.manifest.get("live"):
        return []
    if isinstance(run, RecordedPerturbation):
        return [command_line(run.manifest["config"], PerturbConfig)]
    if isinstance(run, RecordedProtections):
        return [protect_line(run.config, run.manifest["protections"])]
    damaging = (run.summary.damaging if run.summary else []) or run.lines[:1]
    again = [_reproduced(run, damaging[0].trial)] if damaging else []
    return [command_line(run.config), *again]


def _reproduced(run: RecordedCampaign, trial: int) -> str:
    told = ["faultsim", "reproduce", str(run.directory), "--trial", str(trial)]
    code = named_code(run.config, run.lines[trial], run.manifest.get("live", ()))
    return shlex.join(told if code is None else [*told, "--trust-code"])


def _facts(run: words.Run) -> list[tuple[str, Any]]:
    manifest, left_out = run.manifest, unused(run)
    facts = [
        (name.replace("_", " "), value)
        for name, value in manifest["config"].items()
        if name not in left_out
    ]
    facts += [
        (f"{part} {key}", value)
        for part in ("model", "data")
        for key, value in manifest[part].items()
        if value is not None
    ]
    space = manifest.get("space", {})
    facts += [(f"fault space, {key}", v) for key, v in space.items() if key != "sites"]
    return facts + [(f"version of {name}", v) for name, v in manifest["versions"].items()]
