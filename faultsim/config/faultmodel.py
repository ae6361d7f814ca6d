"""Which settings go with a fault model, and which it takes the place of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultsim.config.operators import OF_BITS
from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from faultsim.config.campaign import CampaignConfig

MODES = ("random", "layer-wise", "bit-wise")
"""Modes whose faults are drawn at random, so that events can be."""

UNWANTED = {
    "ber": "--events or --hours say how many there are",
    "direction": "what an event does to a bit does not depend on the bit",
}


def check_fault_model(config: CampaignConfig) -> None:
    """Raises ConfigError unless the settings of events go together, and with the others."""
    if config.fault_model is None:
        for name in ("events", "hours"):
            if getattr(config, name) != getattr(type(config), name):
                raise ConfigError(f"--{name} goes with --fault-model, which has the events")
        return
    if config.mode not in MODES:
        listed = f"{', '.join(MODES[:-1])} or {MODES[-1]}"
        raise ConfigError(
            f"--fault-model does not go with --mode {config.mode}: it takes {listed}, which draw "
            "faults at random"
        )
    for name, why in UNWANTED.items():
        if getattr(config, name) is not None:
            raise ConfigError(f"--{name} does not go with --fault-model: {why}")
    if config.op not in OF_BITS:
        raise ConfigError(
            f"--op {config.op} does not go with --fault-model, whose events strike bits: use "
            f"{', '.join(OF_BITS)}"
        )
    if config.flips != type(config).flips:
        raise ConfigError(
            "--flips does not go with --fault-model: --events says how many there are"
        )
    _check_number(config)


def _check_number(config: CampaignConfig) -> None:
    if not config.events:
        raise ConfigError("--events needs one or more numbers")
    if config.hours is not None and config.events != type(config).events:
        raise ConfigError("--hours and --events both say how many events there are: give one")
    if config.hours is not None and config.target != "weights":
        raise ConfigError(
            f"--hours needs --target weights: {config.target} do not lie in memory that long"
        )
