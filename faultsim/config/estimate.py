"""Which settings an estimate has, and which it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from faultsim.config.campaign import CampaignConfig

OWN = ("margin", "relative", "part_margin", "max_trials")
UNWANTED = {
    "trials": "it stops by itself; --max-trials ends it sooner",
    "direction": "which bits are 0 or 1 is not known of a stratum",
}


def check_estimate(config: CampaignConfig) -> None:
    """Raises ConfigError unless the settings of estimates go together, and with their mode."""
    if config.mode != "estimate":
        for name in OWN:
            if getattr(config, name) is not None:
                raise ConfigError(f"--{name.replace('_', '-')} goes with --mode estimate")
        return
    if config.margin is not None and config.relative is not None:
        raise ConfigError("--margin and --relative do not go together: give one of them")
    if (config.margin, config.relative, config.part_margin) == (None, None, None):
        raise ConfigError(
            "--mode estimate needs --margin (0.001 is ±0.1 %), --relative or --part-margin"
        )
    if config.part_margin is not None and config.by == "none":
        raise ConfigError("--part-margin needs parts: --by bit, layer or bit,layer, not none")
    if config.flips not in (type(config).flips, (1,)):
        raise ConfigError("--flips does not go with --mode estimate, which is of single flips")
    for name, why in UNWANTED.items():
        if getattr(config, name) is not None:
            raise ConfigError(f"--{name} does not go with --mode estimate: {why}")
    if config.observe or config.attack_model == "faulty":
        what = "--observe" if config.observe else "--attack-model faulty"
        raise ConfigError(f"{what} does not go with --mode estimate, whose trials see one sample")
