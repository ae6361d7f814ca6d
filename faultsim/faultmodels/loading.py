"""Fault models by name or file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from faultsim.errors import ConfigError, did_you_mean, shown
from faultsim.faultmodels.faultmodel import FaultModel
from faultsim.faults.patterns import PATTERNS
from faultsim.files import convert, read_bytes
from faultsim.files.toml import parse_toml

SHIPPED = Path(__file__).parent / "shipped"
NAMES: tuple[str, ...] = ("seu", "mbu", "hbm2", "gpu-sdc")
"""Those that are part of this project."""


def load_fault_model(name: str) -> FaultModel:
    """A fault model by the name of a shipped one, or from a TOML file.

    Raises:
        ConfigError: There is none, or the file does not fit; one line with the place in it.
    """
    path = SHIPPED / f"{name}.toml" if name in NAMES else Path(name)
    if name not in NAMES and path.suffix != ".toml":
        near = did_you_mean(name, NAMES) or f"; there are {', '.join(NAMES)}, or a .toml file"
        raise ConfigError(f"unknown fault model {shown(name)}{near}")
    place = str(path) if name not in NAMES else name
    table = parse_toml(read_bytes(path, ConfigError), place, ConfigError)
    _check_patterns(table, place)
    model: FaultModel = convert(table, FaultModel, place, ConfigError)
    return msgspec.structs.replace(model, name=model.name or path.stem)


def _check_patterns(table: dict[str, Any], place: str) -> None:
    """Names the nearest pattern where one is misspelt, which the schema cannot."""
    events = table.get("event")
    for number, event in enumerate(events if isinstance(events, list) else ()):
        pattern = event.get("pattern") if isinstance(event, dict) else None
        if isinstance(pattern, str) and pattern not in PATTERNS:
            near = did_you_mean(pattern, PATTERNS) or f"; there are {', '.join(PATTERNS)}"
            raise ConfigError(f"{place}: $.event[{number}].pattern: unknown {pattern!r}{near}")
