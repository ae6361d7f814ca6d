"""Runs a study, part by part; each part is a directory of its own that can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from faultsim.campaign import CampaignResult, Progress
from faultsim.campaign.directory import SUMMARY, fresh_directory
from faultsim.campaign.findings import Summary
from faultsim.campaign.manifest import MANIFEST, Manifest, check_same
from faultsim.campaign.versions import versions
from faultsim.config import StudyConfig
from faultsim.errors import ConfigError, JournalError
from faultsim.files import Record, decode, locked, read_bytes, write_json
from faultsim.files.writing import remove_drafts
from faultsim.study.begun import STUDY, StudyRecord
from faultsim.study.parts import RUN, Part, names_of, parts_of
from faultsim.study.perturbations import PerturbResult
from faultsim.study.plan import PERTURBATIONS, REAL, SMALL, Plan, read_plan
from faultsim.study.record import RECORD, PerturbRecord


@dataclass(frozen=True)
class Step:
    """What :func:`run_study` tells its caller.

    Attributes:
        directory: Of the study.
        data: The data set at hand.
        part: The campaign at hand, or ``perturbations``.
        campaign: How far the campaign is; None at its start, and for perturbations.
        setting: The perturbation at hand, its number from 0, and how many there are.
        done: Parts that are over.
        total: All parts.
    """

    directory: Path
    data: str
    part: str
    campaign: Progress | None
    setting: tuple[str, int, int] | None
    done: int
    total: int


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes:
        directory: Where everything lies.
        found: For each data set the result of each part, in order.
    """

    directory: Path
    found: Mapping[str, Mapping[str, CampaignResult | PerturbResult]]


def run_study(
    config: StudyConfig | None = None, *, progress: Callable[[Step], None] = lambda step: None
) -> StudyResult:
    """Runs every part of a study on every data set, or goes on with a study.

    The directory holds ``study.json`` (settings), a folder for each data set with a record of
    perturbations and a directory for each campaign, and ``study-NAME.json``, their summary.

    Args:
        config: The settings; the defaults take less than three minutes.
        progress: Called at the start of each part, and as it goes on.

    Raises:
        FaultSimError: In one line, what cannot be used or what went wrong.
    """
    config = config or StudyConfig()
    chosen = Path(config.settings) if config.settings else REAL if config.data else SMALL
    plan = read_plan(chosen)
    directory = Path(config.out) if config.out else fresh_directory("study")
    begun = {"config": _settings(config), "plan": asdict(plan)}
    parts = {
        name: parts_of(config, plan, name, data, directory / name)
        for name, data in names_of(config.data or ("digits",)).items()
    }
    with _open(directory, begun, resume=config.resume):
        return _run(plan, parts, directory, progress)


def _run(
    plan: Plan,
    parts: Mapping[str, list[Part]],
    directory: Path,
    progress: Callable[[Step], None],
) -> StudyResult:
    total = sum(map(len, parts.values()))
    found: dict[str, dict[str, CampaignResult | PerturbResult]] = {}
    done = 0
    for name in parts:
        found[name] = {}
        for part in parts[name]:
            step = Step(directory, name, part.name, None, None, done, total)
            report = partial(_report, progress, step)
            report()
            found[name][part.name] = part.run(report)
            done += 1
        record = _record(plan, directory / name)
        write_json(directory / f"study-{name}.json", record, indent=None)
    return StudyResult(directory, found)


def _report(
    progress: Callable[[Step], None],
    step: Step,
    campaign: Progress | None = None,
    setting: tuple[str, int, int] | None = None,
) -> None:
    progress(replace(step, campaign=campaign, setting=setting))


def _settings(config: StudyConfig) -> dict[str, Any]:
    """What resuming compares; the plan stands for the file it is in."""
    settings = asdict(config)
    for incidental in ("settings", "out", "resume", *RUN):
        del settings[incidental]
    return settings


@contextmanager
def _open(directory: Path, begun: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Makes the directory, or sees that it is the one to go on with, and keeps it to itself."""
    path = directory / STUDY
    _check_use(directory, resume)
    with locked(directory):
        _check_use(directory, resume)  # another process may have been here meanwhile
        remove_drafts(directory, (STUDY, "study-*.json"))
        if resume:
            check_same(directory, _read(path, StudyRecord), begun, ("config", "plan"))
        else:
            write_json(path, {**begun, "versions": versions()})
        yield


def _check_use(directory: Path, resume: bool) -> None:
    try:
        there = (directory / STUDY).exists()
    except OSError as error:
        raise ConfigError(f"cannot write {directory}: {error.strerror}") from None
    if there and not resume:
        raise ConfigError(
            f"{directory} holds a study: give --resume to go on with it, or another --out"
        )
    if resume and not there:
        raise ConfigError(f"{directory} holds no study to resume")


def _record(plan: Plan, folder: Path) -> dict[str, Any]:
    """What was found on one data set, without single trials and the names of all tensors."""
    found: dict[str, Any] = {}
    if plan.perturb:
        found["perturbations"] = _read(folder / PERTURBATIONS / RECORD, PerturbRecord)
    found["campaigns"] = {}
    for name in plan.campaigns:
        manifest = _read(folder / name / MANIFEST, Manifest)
        summary = _read(folder / name / SUMMARY, Summary)
        space = {key: value for key, value in manifest["space"].items() if key != "sites"}
        found["campaigns"][name] = {**manifest, "space": space, **summary}
    return found


def _read(path: Path, kind: type[Record]) -> dict[str, Any]:
    """A document that fits its type, as it is written."""
    text = read_bytes(path, JournalError)
    decode(text, kind, str(path), JournalError)
    document: dict[str, Any] = json.loads(text)
    return document
