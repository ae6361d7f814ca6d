"""Libraries that only some tasks need."""

from __future__ import annotations

from importlib.util import find_spec

from faultsim.errors import ConfigError


def check_installed(module: str, what: str, remedy: str = "pip install 'faultsim[tasks]'") -> None:
    """Raises ConfigError, with the remedy, unless there is a module; it is not imported yet."""
    if find_spec(module) is None:
        raise ConfigError(f"{what} needs {module}: {remedy}")
