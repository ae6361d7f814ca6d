"""Finds what there is to report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from faultsim.errors import ConfigError
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.labels import labels, model_and_data
from faultsim.report.perturbations import RecordedPerturbation, read_perturbation
from faultsim.report.protections import RecordedProtections, is_comparison, read_comparison
from faultsim.report.reading import is_campaign, read_campaign
from faultsim.study.record import RECORD


@dataclass(frozen=True)
class Sources:
    """What a report is made of, in the order of the directories given, each labelled."""

    campaigns: list[RecordedCampaign]
    perturbations: list[RecordedPerturbation]
    protections: list[RecordedProtections] = field(default_factory=list)


def read_sources(directories: Sequence[str | Path]) -> Sources:
    """Reads every campaign, perturbation record and comparison in the directories and below.

    Raises:
        ConfigError: No directory was given, or one is missing or holds none.
        JournalError: One of them is damaged.
    """
    if not directories:
        raise ConfigError("nothing to report: name one or more campaign directories")
    campaigns: dict[Path, RecordedCampaign] = {}
    perturbations: dict[Path, RecordedPerturbation] = {}
    protections: dict[Path, RecordedProtections] = {}
    for root in map(Path, directories):
        inside = _directories(root)
        found = [path for path in inside if is_campaign(path)]
        records = [path for path in inside if (path / RECORD).is_file()]
        compared = [path for path in inside if is_comparison(path)]
        if not found and not records and not compared:
            raise ConfigError(
                f"{root} holds nothing to report: neither a campaign nor a {RECORD}, at any depth"
            )
        for path in found:
            campaigns.setdefault(path.resolve(), read_campaign(path))
        for path in records:
            perturbations.setdefault(path.resolve(), read_perturbation(path))
        for path in compared:
            protections.setdefault(path.resolve(), read_comparison(path))
    found_all = _labelled(list(campaigns.values()), list(perturbations.values()))
    told = list(protections.values())
    names = zip(told, labels(told), strict=True)
    return replace(found_all, protections=[replace(run, label=name) for run, name in names])


def _directories(root: Path) -> list[Path]:
    if not root.is_dir():
        what = f"{root} is no directory" if root.exists() else f"there is no directory {root}"
        raise ConfigError(what)
    return [root, *sorted(path for path in root.rglob("*") if path.is_dir())]


def _labelled(
    campaigns: list[RecordedCampaign], perturbations: list[RecordedPerturbation]
) -> Sources:
    names, others = labels(campaigns), labels(perturbations)
    return Sources(
        _panelled([replace(run, label=name) for run, name in zip(campaigns, names, strict=True)]),
        [replace(run, label=name) for run, name in zip(perturbations, others, strict=True)],
    )


def _panelled(campaigns: list[RecordedCampaign]) -> list[RecordedCampaign]:
    """A panel for each model and data, where there are several and one has several campaigns."""
    panels: dict[str, list[RecordedCampaign]] = {}
    for run in campaigns:
        panels.setdefault(model_and_data(run), []).append(run)
    if len(panels) in (1, len(campaigns)):
        return [replace(run, series=run.label) for run in campaigns]
    series = {
        run.label: name
        for panel in panels.values()
        for run, name in zip(panel, labels(panel), strict=True)
    }
    models = {run.config["model"] for run in campaigns}
    return [
        replace(
            run,
            panel=run.manifest["data"]["name"] if len(models) == 1 else model_and_data(run),
            series=series[run.label],
        )
        for run in campaigns
    ]
