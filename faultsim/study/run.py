"""Runs a study, part by part; each part is a directory of its own that can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from faultsim.campaign import CampaignResult, Progress, run_campaign
from faultsim.campaign.journal import MANIFEST, SUMMARY, write_json
from faultsim.config import CampaignConfig, PerturbConfig, StudyConfig
from faultsim.errors import ConfigError
from faultsim.robustness import RECORD, PerturbResult, run_perturbations
from faultsim.study.plan import REAL, SMALL, Plan, read_plan
from faultsim.versions import versions

RUNS = Path("runs")
STUDY = "study.json"
PERTURBATIONS = "perturbations"

Settings = dict[str, Any]


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
    names = {_short(data): data for data in config.data or ("digits",)}
    directory = _open(config, plan)
    total = len(names) * (len(plan.campaigns) + bool(plan.perturb))
    found: dict[str, dict[str, CampaignResult | PerturbResult]] = {}
    done = 0
    for name, data in names.items():
        folder, found[name] = directory / name, {}
        for part in _parts(config, plan, data, folder):
            report = partial(
                _report, progress, Step(directory, name, part.name, None, None, done, total)
            )
            report()
            found[name][part.name] = part.run(report)
            done += 1
        write_json(directory / f"study-{name}.json", _record(plan, folder))
    return StudyResult(directory, found)


def _report(
    progress: Callable[[Step], None],
    step: Step,
    campaign: Progress | None = None,
    setting: tuple[str, int, int] | None = None,
) -> None:
    progress(replace(step, campaign=campaign, setting=setting))


class Part(NamedTuple):
    """A perturbation record or a campaign, which ``run`` makes or goes on with."""

    name: str
    run: Callable[[Callable[..., None]], CampaignResult | PerturbResult]


def _parts(config: StudyConfig, plan: Plan, data: str, folder: Path) -> list[Part]:
    subject: Settings = {"data": data, **plan.shared}
    for name in ("model", "data_root", "size", "seed", "threads", "device"):
        subject[name] = getattr(config, name)
    if config.checkpoint is not None:
        subject["checkpoint"] = config.checkpoint.replace("{data}", _short(data))
    parts = [
        Part(name, partial(_campaign, {**subject, **settings}, folder / name))
        for name, settings in plan.campaigns.items()
    ]
    if plan.perturb:
        settings = {**subject, "attack": plan.perturb}
        parts.insert(0, Part(PERTURBATIONS, partial(_perturb, settings, folder / PERTURBATIONS)))
    return parts


def _campaign(settings: Settings, out: Path, report: Callable[..., None]) -> CampaignResult:
    resume = (out / MANIFEST).exists()
    config = CampaignConfig(**settings, out=str(out), resume=resume)
    return run_campaign(config, progress=lambda progress: report(campaign=progress))


def _perturb(settings: Settings, out: Path, report: Callable[..., None]) -> PerturbResult:
    config = PerturbConfig(**settings, out=str(out), resume=(out / RECORD).exists())
    return run_perturbations(config, progress=lambda *setting: report(setting=setting))


def _short(data: str) -> str:
    """A data set's name as a folder is called."""
    return Path(data).stem.replace(":", ".")


def _open(config: StudyConfig, plan: Plan) -> Path:
    """The directory, new or to go on with."""
    if config.out is None:
        numbered = (RUNS / f"study-{number}" for number in count(1))
        directory = next(path for path in numbered if not path.exists())
    else:
        directory = Path(config.out)
    there = (directory / STUDY).exists()
    if there and not config.resume:
        raise ConfigError(
            f"{directory} holds a study: give --resume to go on with it, or another --out"
        )
    if config.resume and not there:
        raise ConfigError(f"{directory} holds no study to resume")
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "resume")}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        document = {"config": settings, "plan": asdict(plan), "versions": versions()}
        write_json(directory / STUDY, document)
    except OSError as error:
        raise ConfigError(f"cannot write {directory}: {error.strerror}") from None
    return directory


def _record(plan: Plan, folder: Path) -> dict[str, Any]:
    """What was found on one data set, without single trials."""
    found: dict[str, Any] = {"versions": versions()}
    if plan.perturb:
        found["perturbations"] = _read(folder / PERTURBATIONS / RECORD)
    found["campaigns"] = {
        name: {
            "config": _read(folder / name / MANIFEST)["config"],
            "space": _read(folder / name / MANIFEST)["space"],
            **_read(folder / name / SUMMARY),
        }
        for name in plan.campaigns
    }
    return found


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
