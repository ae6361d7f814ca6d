"""Settings from a TOML or JSON table."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from faultsim.config.campaign import CampaignConfig
from faultsim.errors import ConfigError


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for :class:`CampaignConfig` from a TOML or JSON table.

    Raises:
        ConfigError: An unknown name, or a value of the wrong type.
    """
    hints = get_type_hints(CampaignConfig)
    for name, value in settings.items():
        if name not in hints:
            raise ConfigError(f"unknown setting {name!r}; faultsim campaign --help lists them")
        if not fits(value, hints[name]):
            raise ConfigError(
                f"{name} = {value!r} does not fit; faultsim campaign --help says more"
            )
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a TOML or JSON table is of the type that a setting has."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if hint is NoneType or isinstance(value, bool):
        return value is None if hint is NoneType else hint is bool
    return isinstance(value, (int, float) if hint is float else hint)
