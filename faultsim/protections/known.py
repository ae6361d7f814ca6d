"""The protections by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from faultsim.ecc import CODES
from faultsim.errors import ConfigError, did_you_mean, shown
from faultsim.protections.ecc import Ecc
from faultsim.protections.protection import Protection

PROTECTIONS: dict[str, Callable[..., Protection]] = {
    **{name: partial(Ecc, name) for name in CODES},
    "parity-zero": partial(Ecc, "parity", uncorrected="zero"),
}
"""From a name to what makes it; a pattern of layers or weights may be given to it."""


def protection_named(spec: str) -> Protection:
    """A protection of the command line: ``name`` or ``name:pattern``.

    Raises:
        ConfigError: There is none of that name.
    """
    name, _, pattern = spec.partition(":")
    if name not in PROTECTIONS:
        like = did_you_mean(name, PROTECTIONS)
        raise ConfigError(
            f"{shown(name)} is no protection{like}; there are {', '.join(PROTECTIONS)}"
        )
    options: dict[str, Any] = {"pattern": pattern} if pattern else {}
    return PROTECTIONS[name](**options)
