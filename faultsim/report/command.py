"""The command line that gives a recorded run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from faultsim.config import CampaignConfig, Evaluation


def command_line(config: Mapping[str, Any], kind: type[Evaluation] = CampaignConfig) -> str:
    """The sub-command with the settings that differ from the defaults, quoted for a shell.

    Args:
        config: As a manifest records it.
        kind: ``CampaignConfig`` for ``faultsim campaign``, ``PerturbConfig`` for ``perturb``.
    """
    defaults = {field.name: field.default for field in fields(kind)}
    words = ["faultsim", "campaign" if kind is CampaignConfig else "perturb"]
    for name, value in config.items():
        value = tuple(value) if isinstance(value, list) else value
        if value not in (defaults.get(name), None):
            words += _flag(name, value)
    return shlex.join(words)


def protect_line(config: Mapping[str, Any], protections: Sequence[str]) -> str:
    """The comparison of protections with the settings that differ from the defaults."""
    words = shlex.split(command_line(config))
    return shlex.join(["faultsim", "protect", *words[2:], "--protections", *protections])


def _flag(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return [flag]
    return [flag, *map(str, value)] if isinstance(value, tuple) else [flag, str(value)]
