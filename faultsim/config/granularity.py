"""Which settings go with trials of one sample each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from faultsim.config.campaign import CampaignConfig

UNFIT = {
    "worst-case": "its search needs a figure of many samples",
    "exhaustive": "it is exact over all samples; --mode estimate goes on until a rate is known",
}


def alone(config: CampaignConfig) -> bool:
    """Whether each trial is one sample in a pass of its own."""
    return config.mode == "estimate" and config.granularity == "dataset"


def check_granularity(config: CampaignConfig) -> None:
    """Raises ConfigError where trials cannot see one sample each."""
    if config.granularity == "dataset":
        return
    if config.mode in UNFIT:
        raise ConfigError(
            f"--granularity inference does not go with --mode {config.mode}: {UNFIT[config.mode]}"
        )
    if config.observe or config.attack_model == "faulty":
        what = "--observe" if config.observe else "--attack-model faulty"
        raise ConfigError(f"{what} does not go with --granularity inference: it sees all samples")
