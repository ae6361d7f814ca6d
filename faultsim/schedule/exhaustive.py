"""Every bit of a small space, one trial each."""

from __future__ import annotations

from faultsim.config import CampaignConfig
from faultsim.errors import ConfigError
from faultsim.run.trial import Trial
from faultsim.schedule.context import Context, Plan, Trials
from faultsim.schedule.draw import effect
from faultsim.space import FaultSpace

LARGEST = 1_000_000


def exhaustive(context: Context) -> Plan:
    """One cell for each tensor; its rates are exact, without sampling error.

    Raises:
        ConfigError: More than a million bits.
    """
    space = context.space
    if len(space) > LARGEST:
        raise ConfigError(
            f"exhaustive over {len(space):,} {space.unit}s would not end: narrow it to at most "
            f"{LARGEST:,} with --include and --bits"
        )
    return Plan(_generate(space, context.config), len(space))


def _generate(space: FaultSpace, config: CampaignConfig) -> Trials:
    for position in range(len(space)):
        faults = space.locate([position], **effect(config), seed=config.seed, trial=position)
        yield [Trial(faults, {"tensor": faults.sites[0].name})]
