"""``faultsim export``: the tables of a campaign for other programs."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from faultsim.cli.commands import Export


def run(command: Export) -> int:
    """Writes the files and names them."""
    from faultsim.campaign.exporting import export

    console = Console()
    for path in export(command.directory, command.out, command.format):
        console.print(escape(str(path)), soft_wrap=True, highlight=False)
    return 0
