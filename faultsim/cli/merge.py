"""``faultsim merge``: the shards of a campaign as one."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from faultsim.cli.commands import Merge


def run(command: Merge) -> int:
    """Merges, and says how to have the summary where a shard has none."""
    from faultsim.campaign.directory import SUMMARY
    from faultsim.campaign.merge import merge

    trials, text = merge(command.directories, command.out), ""
    if not (Path(command.out) / SUMMARY).exists():
        text = (
            ", without a summary, which not all shards have: give the command of the campaign "
            f"without --shard, with --resume --out {command.out}; it runs no trial"
        )
    Console().print(escape(f"{trials} trials in {command.out}{text}."), soft_wrap=True)
    return 0
