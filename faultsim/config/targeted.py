"""Which settings go with a targeted attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from faultsim.config.campaign import CampaignConfig


def check_target(config: CampaignConfig) -> None:
    """Raises ConfigError unless the settings of a targeted attack go together."""
    if config.target_class is None:
        for name in ("source_class", "stealthy"):
            if getattr(config, name) not in (None, False):
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} goes with --target-class, the class that is wanted")
        return
    if config.mode != "worst-case":
        raise ConfigError(
            f"--target-class does not go with --mode {config.mode}: worst-case searches"
        )
    if config.source_class == config.target_class:
        raise ConfigError(
            f"--source-class and --target-class are both {config.target_class}: give two classes"
        )
    if config.stealthy and config.source_class is None:
        raise ConfigError("--stealthy needs --source-class: else no samples are to be kept")
