"""Which operator the settings of a campaign may name, and what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultsim.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from faultsim.config.campaign import CampaignConfig

OF_BITS = ("flip", "stuck-at-0", "stuck-at-1")
WITH_OPERAND = ("set", "add", "scale", "gaussian", "byte-shift")
OFFERED = (*OF_BITS, "random", "zero", *WITH_OPERAND)
"""Operators by name; one's own come as ``package.module:name``."""


def unit(op: str) -> str:
    """What ``flips`` of an operator are: flips, stuck bits, or words."""
    return {"flip": "flip", "stuck-at-0": "stuck bit", "stuck-at-1": "stuck bit"}.get(op, "word")


def struck(op: str, count: int) -> str:
    """So many faults of an operator in words: ``2 flips``, ``1 word struck by zero``."""
    counted = f"{count:,} {unit(op)}{'' if count == 1 else 's'}"
    return counted if op in OF_BITS else f"{counted} struck by {op}"


def check_operator(config: CampaignConfig) -> None:
    """Raises ConfigError unless there may be such an operator, and the other settings fit it."""
    op = config.op
    own = ":" in op
    if op not in OFFERED and not own:
        known = f"{', '.join(OFFERED)}, or package.module:name"
        raise ConfigError(f"--op {shown(op)}: use {known}{did_you_mean(op, OFFERED)}")
    if op in WITH_OPERAND and config.operand is None:
        raise ConfigError(f"--op {op} needs --operand")
    if config.operand is not None and not own and op not in WITH_OPERAND:
        raise ConfigError(f"--op {op} takes no --operand")
    if op in OF_BITS:
        return
    if config.mode == "worst-case":
        raise ConfigError(
            f"--mode worst-case cannot rank --op {op}: it ranks single bits, so use --op "
            f"{', '.join(OF_BITS[:2])} or {OF_BITS[2]}, or another --mode"
        )
    if config.mode == "bit-wise":
        raise ConfigError(f"--mode bit-wise strikes single bits, and --op {op} whole words")
