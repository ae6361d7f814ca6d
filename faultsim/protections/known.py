"""The protections by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from faultsim.ecc import CODES
from faultsim.errors import ConfigError, did_you_mean, shown
from faultsim.protections.checksums import Abft
from faultsim.protections.copies import Redundancy
from faultsim.protections.ecc import Ecc
from faultsim.protections.in_place import InPlace
from faultsim.protections.nan_guard import NanGuard
from faultsim.protections.products import BareProducts
from faultsim.protections.protection import Protection
from faultsim.protections.radar import Radar
from faultsim.protections.ranges import RangeRestriction
from faultsim.protections.weight_range import WeightRange

PROTECTIONS: dict[str, Callable[..., Protection]] = {
    **{name: partial(Ecc, name) for name in CODES},
    "parity-zero": partial(Ecc, "parity", uncorrected="zero"),
    "ranger": partial(RangeRestriction, "ranger", "clip"),
    "ft-clipact": partial(RangeRestriction, "ft-clipact", "zero"),
    "range-alarm": partial(RangeRestriction, "range-alarm", "alarm"),
    "in-place": InPlace,
    "nan-guard": NanGuard,
    "weight-range": WeightRange,
    "radar": Radar,
    "abft": partial(Abft, "abft"),
    "abft-recompute": partial(Abft, "abft-recompute", recompute=True),
    "abft-products": partial(BareProducts, "abft-products"),
    "abft-products-recompute": partial(BareProducts, "abft-products-recompute", recompute=True),
    "duplicate": partial(Redundancy, "duplicate", 2),
    "tmr": partial(Redundancy, "tmr", 3),
}
"""From a name to what makes it; a pattern of layers or weights may be given to it."""

BOUNDED = ("ranger", "ft-clipact", "range-alarm")
"""Those that take a file of bounds, as ``faultsim bounds`` writes it."""


def protection_named(spec: str) -> Protection:
    """A protection of the command line: ``name``, ``name:pattern``, or ``name=bounds.json``.

    Raises:
        ConfigError: There is none of that name, or it takes no bounds.
    """
    spec, _, bounds = spec.partition("=")
    name, _, pattern = spec.partition(":")
    if name not in PROTECTIONS:
        like = did_you_mean(name, PROTECTIONS)
        raise ConfigError(
            f"{shown(name)} is no protection{like or ';'} there are {', '.join(PROTECTIONS)}"
        )
    options: dict[str, Any] = {"pattern": pattern} if pattern else {}
    if bounds:
        if name not in BOUNDED or pattern:
            raise ConfigError(f"{shown(spec)} takes no file of bounds; {', '.join(BOUNDED)} do")
        options["bounds"] = bounds
    return PROTECTIONS[name](**options)
