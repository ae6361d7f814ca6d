"""Runs one recorded trial again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from faultsim.campaign.journal import read_manifest, read_trials
from faultsim.campaign.subject import make_bench, make_space
from faultsim.config import CampaignConfig, checked_settings
from faultsim.config.importing import foreign_code
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, JournalError
from faultsim.faults import FaultSet
from faultsim.run.trial import Outcome, Trial


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


def reproduce(directory: str | Path, trial: int, *, trust_code: bool = False) -> Reproduction:
    """Runs trial number ``trial`` of a campaign directory again, as it was recorded.

    Args:
        directory: The campaign directory.
        trial: From 0.
        trust_code: Import and call the factories that the directory names: whoever made it chose
            that code. Without this, only those of faultsim are called.

    Raises:
        ConfigError: The campaign ran on a live model or data, they are not there any more, or they
            are code that is not trusted.
        JournalError: No such campaign or trial, or model or data have changed since.
    """
    manifest, lines = read_manifest(Path(directory)), read_trials(Path(directory))
    if not 0 <= trial < len(lines):
        raise JournalError(f"{directory} has trials 0 to {len(lines) - 1}, not {trial}")
    if manifest.get("live"):
        raise ConfigError(f"{directory} ran on a live {manifest['live'][0]}; use run_campaign")
    config, line = _config(manifest), lines[trial]
    code = None if trust_code else foreign_code(config.model, config.data)
    if code is not None:
        raise ConfigError(f"{directory} names the code {code}; --trust-code imports and calls it")
    with reproducibly(config.threads):
        bench = make_bench(config)
        for part, digest in (("model", bench.digest), ("data", bench.data.digest)):
            if digest != manifest[part]["digest"]:
                raise JournalError(f"the {part} is not the one recorded: its digest differs")
        sites = make_space(config, bench).sites
        faults = FaultSet.from_json(json.dumps(line["faults"]), sites)
        split = line["cell"].get("split", "test")
        again = bench.run(Trial(faults, line["cell"], split, line["n"]))
    recorded = Outcome.from_json(line)
    was, now = recorded.to_json(), again.to_json()
    described = [str(fault) for fault in faults.describe(bench.model)]
    return Reproduction(described, recorded, again, [key for key in was if was[key] != now[key]])


def _config(manifest: dict[str, Any]) -> CampaignConfig:
    settings = checked_settings(manifest["config"])
    config = CampaignConfig(**settings, replay=False)  # the whole model, as a check
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("the campaign ran on a CUDA device; there is none here")
    return config
