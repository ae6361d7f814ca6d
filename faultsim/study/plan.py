"""What a study does, read from one TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultsim.config import CampaignConfig, StudyConfig, checked_settings, fits
from faultsim.errors import ConfigError
from faultsim.tomlfile import read_toml, underscored

SMALL = Path(__file__).with_name("small.toml")
REAL = Path(__file__).with_name("real.toml")
SHARED = ("batch_size", "limit")
OWN = {*StudyConfig.__dataclass_fields__, "perturb", "attack_model"} - {"settings"}


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

    Raises:
        ConfigError: No such file, or a setting that does not fit; it names the file and the part.
    """
    try:
        table = read_toml(path)
        perturb = table.pop("perturb", [])
        if not fits(perturb, tuple[str, ...]):
            raise ConfigError("perturb must be a list of perturbations")
        parts = table.pop("campaigns", {})
        shared = checked_settings(table)
        if not set(shared) <= set(SHARED):
            raise ConfigError(f"{(set(shared) - set(SHARED)).pop()} belongs in [campaigns.NAME]")
        campaigns = {name: _campaign(name, part, shared) for name, part in parts.items()}
        return Plan(tuple(perturb), campaigns, shared)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _campaign(name: str, part: Any, shared: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise ConfigError(f"campaigns.{name} must be a table of a campaign's settings")
    try:
        settings = checked_settings(underscored(part))
        for own in OWN & set(settings):
            raise ConfigError(f"{own} is a setting of the whole study")
        CampaignConfig(**{**shared, **settings})
    except ConfigError as error:
        raise ConfigError(f"campaigns.{name}: {error}") from None
    return settings
