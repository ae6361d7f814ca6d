"""Which settings go with a targeted attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from faultsim.config.campaign import CampaignConfig


def check_target(config: CampaignConfig) -> None:
    """Raises ConfigError unless the settings of a targeted attack go together."""
    wanted = {"--target-class": config.target_class, "--target-samples": config.target_samples}
    given = [flag for flag, value in wanted.items() if value not in (None, ())]
    if not given:
        _check_alone(config)
    elif config.mode != "worst-case":
        raise ConfigError(f"{given[0]} does not go with --mode {config.mode}: worst-case searches")
    elif config.target_samples:
        _check_samples(config)
    elif config.source_class == config.target_class:
        raise ConfigError(
            f"--source-class and --target-class are both {config.target_class}: give two classes"
        )
    elif config.stealthy and config.source_class is None:
        raise ConfigError(
            "--stealthy needs --source-class or --target-samples: else no samples are to be kept"
        )


def _check_alone(config: CampaignConfig) -> None:
    if config.source_class is not None:
        raise ConfigError("--source-class goes with --target-class, the class that is wanted")
    if config.stealthy:
        raise ConfigError("--stealthy goes with --target-class or --target-samples, what is wanted")


def _check_samples(config: CampaignConfig) -> None:
    numbers = config.target_samples
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        raise ConfigError(f"--target-samples names {twice} twice")
    if config.source_class is not None:
        raise ConfigError(
            "--source-class does not go with --target-samples, which are the samples aimed at"
        )
    if config.perturb is not None:
        raise ConfigError("--perturb does not go with --target-samples")
