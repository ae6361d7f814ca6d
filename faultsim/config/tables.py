"""Settings of a campaign from a TOML or JSON table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultsim.config.campaign import CampaignConfig
from faultsim.config.settings import fitted


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for :class:`CampaignConfig` from a TOML or JSON table.

    Raises:
        ConfigError: An unknown name, or a value that does not fit.
    """
    return fitted(settings, CampaignConfig)
