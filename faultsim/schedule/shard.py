"""A part of a plan."""

from __future__ import annotations

from dataclasses import replace

from faultsim.config.shard import Shard
from faultsim.errors import ConfigError
from faultsim.schedule.context import Plan, Trials


def sharded(plan: Plan, shard: Shard) -> Plan:
    """Every so many-th trial of a plan, so that each shard has its part of each cell.

    Args:
        plan: Its trials do not wait for outcomes.
        shard: Which of them.

    Raises:
        ConfigError: There are none.
    """
    own = range(shard.first, plan.total, shard.of)
    if not own:
        raise ConfigError(f"--shard: {plan.total} trials are too few for {shard.of} shards")
    return replace(plan, trials=_every(plan.trials, shard), total=len(own))


def _every(trials: Trials, shard: Shard) -> Trials:
    number = 0
    for some in trials:
        own = [t for n, t in enumerate(some, number) if n % shard.of == shard.first]
        number += len(some)
        if own:
            yield own
