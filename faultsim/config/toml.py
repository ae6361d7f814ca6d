"""Settings files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faultsim.errors import ConfigError
from faultsim.files.toml import tomllib


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file, the dashes of whose names may stand for underscores.

    Raises:
        ConfigError: It cannot be read, or is not TOML; the caller names the file.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read the config file: {error}") from None
    return underscored(table)


def underscored(table: dict[str, Any]) -> dict[str, Any]:
    """The table with the names Python uses.

    Raises:
        ConfigError: A name is there twice, once with dashes and once with underscores.
    """
    twice = [name for name in table if "-" in name and name.replace("-", "_") in table]
    if twice:
        raise ConfigError(f"{twice[0]} is given twice, the second time with underscores")
    return {key.replace("-", "_"): value for key, value in table.items()}
