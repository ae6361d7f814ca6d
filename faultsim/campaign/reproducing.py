"""Runs one recorded trial again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from faultsim.campaign.directory import TRIALS, read_campaign
from faultsim.campaign.lines import Line
from faultsim.campaign.manifest import Manifest
from faultsim.campaign.manifest_writing import check_operators
from faultsim.campaign.named_code import named_code
from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.config.granularity import alone
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, FaultError, JournalError
from faultsim.faults import FaultSet
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial
from faultsim.space import FaultSpace
from faultsim.workload import Workload
from faultsim.workload.workload import REPORTED, SEARCHED


@dataclass(frozen=True)
class Reproduction:
    """A recorded trial and its second run.

    Attributes:
        faults: Each with its value before and after.
        recorded: The outcome in the journal.
        again: The outcome now.
        differences: Fields of the outcome that differ; empty if it is the same.
        struck: The events that made the faults, in words.
    """

    faults: list[str]
    recorded: Outcome
    again: Outcome
    differences: list[str]
    struck: Sequence[str] = ()


def reproduce(
    directory: str | Path,
    trial: int,
    *,
    work: Workload | None = None,
    model: nn.Module | None = None,
    data: Any = None,
    trust_code: bool = False,
) -> Reproduction:
    """Runs trial number ``trial`` of a campaign directory again, as it was recorded.

    Args:
        directory: Of the campaign.
        trial: Its number, from 0.
        work: The workload, of a campaign that was given one.
        model: The model, of a campaign that was given one as an object.
        data: The same for its data.
        trust_code: Import and call the factories that the directory names: whoever made it chose
            that code. Without this, only those of faultsim are called.

    Raises:
        ConfigError: What the campaign was given as an object is not given, what it named is not
            there any more, or is code that is not trusted.
        JournalError: No such campaign or trial, or model or data have changed since.
    """
    found = read_campaign(Path(directory))
    manifest, lines = found.manifest, found.lines
    if not lines:
        raise JournalError(f"{directory} has no trial yet")
    if not 0 <= trial < len(lines):
        raise JournalError(f"{directory} has trials 0 to {len(lines) - 1}, not {trial}")
    _check_live(directory, manifest.live, {"work": work, "model": model, "data": data})
    config, line = settings_of(manifest), lines[trial]
    if not trust_code:
        check_code(directory, config, line, manifest.live)
    with reproducibly(config.threads):
        workload = work or make_workload(config, model, data)
        with uncompiled(workload.model):
            experiment = make_experiment(config, workload)
            check_digests(experiment, manifest)
            faults = faults_of(line, make_space(config, experiment), Path(directory) / TRIALS)
            check_operators(manifest, (fault.op for fault in faults))
            split = str(line.cell.get("split", REPORTED))
            place = split, line.n, line.sample, alone(config)
            again = experiment.run(Trial(faults, line.cell, *place))
    was, now = line.outcome.to_json(), again.to_json()
    described = [str(fault) for fault in faults.describe(experiment.workload.model)]
    return Reproduction(
        described,
        line.outcome,
        again,
        [key for key in was if was[key] != now.get(key)],
        line.struck or (),
    )


def check_code(directory: str | Path, config: CampaignConfig, line: Line, live: list[str]) -> None:
    """Raises ConfigError where a campaign names code that is not of this project."""
    code = named_code(vars(config), line, live)
    if code is not None:
        raise ConfigError(f"{directory} names the code {code}; --trust-code imports and calls it")


def _check_live(directory: str | Path, live: list[str], given: dict[str, Any]) -> None:
    for name in ("work", "model", "data"):
        if name in live and given[name] is None:
            raise ConfigError(
                f"{directory} ran on a live {name}: give it again, reproduce(directory, trial, "
                f"{name}=...)"
            )


def check_digests(experiment: Experiment, manifest: Manifest) -> None:
    """Raises JournalError where model or data are not those recorded."""
    splits = {split: experiment.batches(split) for split in (REPORTED, SEARCHED)}
    data = experiment.workload.record(splits)["digest"]
    recorded = {"model": manifest.model.digest, "data": manifest.data.digest}
    for part, digest in (("model", experiment.digest), ("data", data)):
        if digest != recorded[part]:
            raise JournalError(f"the {part} is not the one recorded: its digest differs")


def faults_of(line: Line, space: FaultSpace, path: Path) -> FaultSet:
    """The faults of a line; JournalError where they are none of the space."""
    place = f"line {line.trial + 1} of {path}"
    try:
        return FaultSet.from_json(msgspec.json.encode(line.faults), space.sites, place)
    except FaultError as error:
        raise JournalError(str(error)) from None


def settings_of(manifest: Manifest) -> CampaignConfig:
    """The settings of a campaign that is to be run again here."""
    config = replace(manifest.settings, replay=False)  # the whole model, as a check
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("the campaign ran on a CUDA device; there is none here")
    return config
