"""What a study does, read from one TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultsim.config import CampaignConfig, StudyConfig, checked_settings, fitting
from faultsim.config.toml import read_toml, underscored
from faultsim.errors import ConfigError
from faultsim.study.grid import expanded

SMALL = Path(__file__).with_name("small.toml")
REAL = Path(__file__).with_name("real.toml")
SHARED = ("batch_size", "limit")
OWN = set(StudyConfig.__dataclass_fields__) - {"settings"}
SUBJECT = ("model", "checkpoint", "seed")
"""Settings of a study that a campaign may have for itself."""
PERTURBATIONS = "perturbations"


@dataclass(frozen=True)
class Plan:
    """The parts of a study, the same for every data set.

    Attributes:
        perturb: Perturbations, as ``faultsim perturb --attack`` takes them.
        campaigns: The settings of each campaign by its name.
        shared: ``batch_size`` and ``limit`` of all parts.
    """

    perturb: tuple[str, ...]
    campaigns: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any]


def read_plan(path: Path) -> Plan:
    """The plan in a TOML file: ``perturb``, a list; a table ``[campaigns.NAME]`` for each campaign.

    A table that lists values of settings is that many campaigns (:mod:`faultsim.study.grid`).

    Raises:
        ConfigError: No such file, or a setting that does not fit; it names the file and the part.
    """
    try:
        table = read_toml(path)
        perturb, parts = table.pop("perturb", []), table.pop("campaigns", {})
        perturb = fitting(perturb, tuple[str, ...], "perturb")
        if not isinstance(parts, dict):
            raise ConfigError("campaigns must hold a table for each campaign: [campaigns.NAME]")
        if not perturb and not parts:
            raise ConfigError("nothing to do: it has neither perturb nor [campaigns.NAME]")
        shared = _settings(table, OWN)
        for name in set(shared) - set(SHARED):
            raise ConfigError(f"{name} belongs in [campaigns.NAME]")
        campaigns = {
            one: _campaign(one, settings, shared)
            for name, part in parts.items()
            for one, settings in _expanded(name, part).items()
        }
        return Plan(perturb, campaigns, shared)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _expanded(name: str, part: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(part, dict):
        raise ConfigError(f"campaigns.{name} must be a table of a campaign's settings")
    return expanded(name, underscored(part))


def _campaign(name: str, part: dict[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    if not re.fullmatch(r"\w[\w.-]*", name) or name == PERTURBATIONS:
        raise ConfigError(f"campaigns.{name}: a folder will be called so; choose another name")
    try:
        settings = _settings(part, OWN - {*SUBJECT})
        CampaignConfig(**{**shared, **settings})
    except ConfigError as error:
        raise ConfigError(f"campaigns.{name}: {error}") from None
    return settings


def _settings(table: dict[str, Any], refused: set[str]) -> dict[str, Any]:
    for name in refused & set(table):
        raise ConfigError(f"{name} is not the plan's: it is a flag of faultsim study")
    return checked_settings(table)
