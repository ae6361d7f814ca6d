"""``faultsim merge``: the shards of a campaign as one."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from faultsim.cli.commands import Merge


def run(command: Merge) -> int:
    """Merges, and says how to have the summary."""
    from faultsim.campaign.merge import merge

    trials = merge(command.directories, command.out)
    Console().print(
        f"{trials} trials in {escape(command.out)}. For its summary, give the command of the "
        f"campaign without --shard, with --resume --out {escape(command.out)}: it runs no trial.",
        soft_wrap=True,
    )
    return 0
