"""One table of settings as many campaigns: every combination of the values that it lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from itertools import product
from typing import Any

from faultsim.config import CampaignConfig
from faultsim.errors import ConfigError

DEFAULTS = {field.name: field.default for field in fields(CampaignConfig)}


def expanded(name: str, table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Tables of single settings, by names made of what tells them apart.

    Of a setting that is a list itself (``flips``, ``include``), a list of lists says what to
    combine; ``false`` leaves out a setting that has no value otherwise (``protect``, ``ber``).

    Args:
        name: Of the table.
        table: Its settings, each a value or a list of values.

    Raises:
        ConfigError: An empty list, or two campaigns of one name.
    """
    axes = {key: value for key, value in table.items() if _is_axis(key, value)}
    if not axes:
        return {name: dict(table)}
    for key, values in axes.items():
        if not values:
            raise ConfigError(f"campaigns.{name}: {key} lists nothing")
    found: dict[str, dict[str, Any]] = {}
    for values in product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        called = "_".join([name, *(_label(key, value) for key, value in chosen.items())])
        if called in found:
            raise ConfigError(f"campaigns.{name}: two campaigns would be called {called}")
        given = {**table, **chosen}
        found[called] = {key: value for key, value in given.items() if not _is_left_out(key, value)}
    return found


def _is_axis(key: str, value: Any) -> bool:
    if not isinstance(value, list):
        return False
    listed = isinstance(DEFAULTS.get(key), tuple)
    return not listed or any(isinstance(each, list) for each in value)


def _is_left_out(key: str, value: Any) -> bool:
    return value is False and DEFAULTS.get(key, False) is None


def _label(key: str, value: Any) -> str:
    if _is_left_out(key, value):
        return f"{key}-none"
    values = value if isinstance(value, list) else [value]
    text = "-".join(re.sub(r"[^\w.-]+", "-", str(each)).strip("-.") for each in values)
    return f"{key}-{text}"
