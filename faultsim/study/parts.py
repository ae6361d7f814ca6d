"""The parts of a study on one data set: a record of perturbations, and campaigns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from faultsim.campaign import CampaignResult, run_campaign
from faultsim.campaign.manifest import MANIFEST
from faultsim.campaign.subject import load_subject
from faultsim.config import CampaignConfig, Evaluation, PerturbConfig, StudyConfig
from faultsim.devices import choose_device
from faultsim.errors import ConfigError
from faultsim.perturb import Perturbation, expand
from faultsim.study.perturbations import PerturbResult, run_perturbations
from faultsim.study.plan import PERTURBATIONS, SUBJECT, Plan
from faultsim.study.record import RECORD

Settings = dict[str, Any]

RUN = ("workers", "executor", "address")
"""Settings of a study that say how campaigns are run; no outcome depends on them."""


class Part(NamedTuple):
    """A record of perturbations or a campaign, which ``run`` makes or goes on with.

    ``run`` takes what it reports to, by keyword: ``campaign``, the progress of one, or
    ``setting``, the perturbation at hand, its number from 0, and how many there are.
    """

    name: str
    run: Callable[[Callable[..., None]], CampaignResult | PerturbResult]


def parts_of(config: StudyConfig, plan: Plan, name: str, data: str, folder: Path) -> list[Part]:
    """All parts, with what they need checked before any is run.

    Args:
        config: The study's settings.
        plan: What is done.
        name: The data set's, as its folder is called.
        data: The data set, as a campaign takes it.
        folder: For the parts.

    Raises:
        FaultSimError: The data, the model, a checkpoint or a perturbation cannot be used.
    """
    subject: Settings = {"data": data, **plan.shared}
    for key in ("model", "data_root", "size", "seed", "threads", "device"):
        subject[key] = getattr(config, key)
    if config.checkpoint is not None:
        subject["checkpoint"] = config.checkpoint.replace("{data}", name)
    _check(subject, plan)
    how = {key: getattr(config, key) for key in RUN}
    parts = [
        Part(part, partial(_campaign, {**subject, **how, **settings}, folder / part))
        for part, settings in plan.campaigns.items()
    ]
    if plan.perturb:
        settings = {**subject, "attack": plan.perturb}
        parts.insert(0, Part(PERTURBATIONS, partial(_perturb, settings, folder / PERTURBATIONS)))
    return parts


def _check(subject: Settings, plan: Plan) -> None:
    choose_device(subject["device"])
    side = load_subject(Evaluation(**subject))[1].test.images.shape[-1]
    own = [{k: s[k] for k in SUBJECT if k in s} for s in plan.campaigns.values()]
    for number, others in enumerate(own):
        if others and others not in own[:number]:
            load_subject(Evaluation(**{**subject, **others}))
    under = (settings.get("perturb") for settings in plan.campaigns.values())
    for text in (*plan.perturb, *filter(None, under)):
        for one in expand(text):
            Perturbation.parse(one, side)


def _campaign(settings: Settings, out: Path, report: Callable[..., None]) -> CampaignResult:
    resume = (out / MANIFEST).exists()
    config = CampaignConfig(**settings, out=str(out), resume=resume)
    return run_campaign(config, progress=lambda progress: report(campaign=progress))


def _perturb(settings: Settings, out: Path, report: Callable[..., None]) -> PerturbResult:
    config = PerturbConfig(**settings, out=str(out), resume=(out / RECORD).exists())
    return run_perturbations(config, progress=lambda *setting: report(setting=setting))


def names_of(data: Iterable[str]) -> dict[str, str]:
    """The data sets by the names of their folders.

    Raises:
        ConfigError: Two of one name, or one that no folder can have.
    """
    names: dict[str, str] = {}
    for spec in dict.fromkeys(data):
        name = _short(spec)
        if name in ("", ".", ".."):
            raise ConfigError(f"--data {spec}: its folder has no name to call the results by")
        if name in names:
            raise ConfigError(
                f"--data {names[name]} and {spec} would share the folder {name!r}: rename one, or "
                "study them apart"
            )
        names[name] = spec
    return names


def _short(data: str) -> str:
    path = Path(data)
    if data.endswith(".npz"):
        return path.stem
    return path.resolve().name if path.is_dir() else data.replace(":", ".").replace("/", "-")
