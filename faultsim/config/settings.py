"""The base of all settings: each is checked where it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from faultsim.config.values import fitting
from faultsim.errors import ConfigError, did_you_mean


class Settings:
    """A frozen dataclass whose fields fit their types, or it is not made.

    Field docstrings are the command line's help texts.
    """

    def __new__(cls, *positional: Any, **named: Any) -> Any:
        check_names(named, cls)
        return super().__new__(cls)

    def __repr__(self) -> str:
        """What differs from the defaults."""
        known = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        told = (f"{n}={v!r}" for n, v in vars(self).items() if v != known.get(n, MISSING))
        return f"{type(self).__name__}({', '.join(told)})"

    def __post_init__(self) -> None:
        """Refuses values that do not fit.

        Raises:
            ConfigError: One line that names the setting, and what it may be.
        """
        for name, value in fitted(vars(self), type(self)).items():
            object.__setattr__(self, name, value)


def fitted(settings: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """The settings, each in the type that ``kind`` gives it.

    Raises:
        ConfigError: An unknown name, or a value that does not fit.
    """
    check_names(settings, kind)
    hints = _hints(kind)
    return {name: fitting(value, hints[name], flag(name)) for name, value in settings.items()}


def check_names(names: Iterable[str], kind: type[Any]) -> None:
    """Raises ConfigError for the first name that is no setting of ``kind``."""
    known = list(_hints(kind))
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; known are {', '.join(known)}"
            raise ConfigError(f"unknown setting {name!r}{near}")


def flag(name: str) -> str:
    """A setting as the command line spells it, and all messages: ``--batch-size``."""
    return f"--{name.replace('_', '-')}"


def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)
