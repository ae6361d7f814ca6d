"""TOML as typed objects, as strictly as JSON is read."""

from __future__ import annotations

import sys
from typing import Any

from faultsim.errors import FaultSimError
from faultsim.files.reading import told

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["parse_toml", "tomllib"]


def parse_toml(text: bytes, place: str, error: type[FaultSimError]) -> dict[str, Any]:
    """The table of a TOML document.

    Args:
        text: Of the document.
        place: Where it is from, for messages.
        error: Raised, with place and line in it, for what is no TOML.
    """
    try:
        table: dict[str, Any] = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as cause:
        raise error(f"{place}: {told(cause)}") from None
    return table
