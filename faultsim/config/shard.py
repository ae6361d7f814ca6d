"""A part of a campaign, for machines that know nothing of each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from faultsim.errors import ConfigError, shown

if TYPE_CHECKING:
    from faultsim.config.campaign import CampaignConfig

ADAPTIVE = ("worst-case", "estimate")
"""Modes whose later trials depend on the outcomes of earlier ones."""


class Shard(NamedTuple):
    """Every ``of``-th trial of a campaign, from ``first`` on, which counts from 0."""

    first: int
    of: int


def shard_of(text: str) -> Shard:
    """The shard that ``2/8`` names: the second of eight.

    Raises:
        ConfigError: It names none.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"--shard {shown(text)} not understood; 2/8 is the second of eight")
    return Shard(int(found[1]) - 1, int(found[2]))


def check_shard(config: CampaignConfig) -> None:
    """Raises ConfigError where a campaign has no such part."""
    if config.shard is None:
        return
    shard_of(config.shard)
    if config.mode in ADAPTIVE:
        raise ConfigError(
            f"--shard does not go with --mode {config.mode}, whose trials depend on the outcomes "
            "of others; it can have --workers"
        )
