"""The command line that gives a recorded campaign."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from faultsim.config import CampaignConfig


def command_line(config: Mapping[str, Any]) -> str:
    """``faultsim campaign`` with the settings that differ from the defaults, quoted for a shell.

    Args:
        config: As a manifest records it.
    """
    defaults = {field.name: field.default for field in fields(CampaignConfig)}
    words = ["faultsim", "campaign"]
    for name, value in config.items():
        value = tuple(value) if isinstance(value, list) else value
        if value not in (defaults.get(name), None):
            words += _flag(name, value)
    return shlex.join(words)


def _flag(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return [flag]
    return [flag, *map(str, value)] if isinstance(value, tuple) else [flag, str(value)]
