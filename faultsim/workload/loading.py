"""Workloads by import path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultsim.config.importing import call_factory
from faultsim.devices import seeded
from faultsim.errors import ConfigError
from faultsim.workload.workload import Workload


def load_workload(path: str, options: Mapping[str, Any] | None = None) -> Workload:
    """What a factory makes, always from the same random numbers.

    Args:
        path: ``package.module:factory``, which returns a :class:`Workload`.
        options: Settings; the factory gets those of them that its signature names.

    Raises:
        ConfigError: It cannot be imported, fails, or returns something else.
    """
    if ":" not in path:
        raise ConfigError(f"--workload wants package.module:factory, not {path!r}")
    with seeded():
        made = call_factory(path, options or {})
    if not isinstance(made, Workload):
        raise ConfigError(f"{path} returned {type(made).__name__}, not a faultsim.Workload")
    return made
