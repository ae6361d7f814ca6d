"""Runs one recorded trial again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch

from faultsim.campaign.directory import TRIALS, read_campaign
from faultsim.campaign.lines import Line
from faultsim.campaign.manifest import Manifest
from faultsim.campaign.subject import make_bench, make_space
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, FaultError, JournalError
from faultsim.faults import FaultSet
from faultsim.run.trial import Outcome, Trial
from faultsim.space import FaultSpace


@dataclass(frozen=True)
class Reproduction:
    """A recorded trial and its second run.

    Attributes:
        faults: Each with its value before and after.
        recorded: The outcome in the journal.
        again: The outcome now.
        differences: Fields of the outcome that differ; empty if it is the same.
    """

    faults: list[str]
    recorded: Outcome
    again: Outcome
    differences: list[str]


def reproduce(directory: str | Path, trial: int) -> Reproduction:
    """Runs trial number ``trial`` of a campaign directory again, as it was recorded.

    Raises:
        ConfigError: The campaign ran on a live model or data, or they are not there any more.
        JournalError: No such campaign or trial, or model or data have changed since.
    """
    found = read_campaign(Path(directory))
    manifest, lines = found.manifest, found.lines
    if not 0 <= trial < len(lines):
        raise JournalError(f"{directory} has trials 0 to {len(lines) - 1}, not {trial}")
    if manifest.live:
        raise ConfigError(f"{directory} ran on a live {manifest.live[0]}; use run_campaign")
    config, line = _config(manifest), lines[trial]
    with reproducibly(config.threads):
        bench = make_bench(config)
        recorded = {"model": manifest.model.digest, "data": manifest.data.digest}
        for part, digest in (("model", bench.digest), ("data", bench.data.digest)):
            if digest != recorded[part]:
                raise JournalError(f"the {part} is not the one recorded: its digest differs")
        faults = _faults(line, make_space(config, bench), Path(directory) / TRIALS)
        split = str(line.cell.get("split", "test"))
        again = bench.run(Trial(faults, line.cell, split, line.n))
    was, now = line.outcome.to_json(), again.to_json()
    described = [str(fault) for fault in faults.describe(bench.model)]
    return Reproduction(
        described, line.outcome, again, [key for key in was if was[key] != now[key]]
    )


def _faults(line: Line, space: FaultSpace, path: Path) -> FaultSet:
    place = f"line {line.trial + 1} of {path}"
    try:
        return FaultSet.from_json(msgspec.json.encode(line.faults), space.sites, place)
    except FaultError as error:
        raise JournalError(str(error)) from None


def _config(manifest: Manifest) -> CampaignConfig:
    config = replace(manifest.settings, replay=False)  # the whole model, as a check
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("the campaign ran on a CUDA device; there is none here")
    return config
