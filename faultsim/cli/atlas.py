"""``faultsim atlas``: one page of all recorded campaigns."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from faultsim.cli.commands import Atlas


def run(command: Atlas) -> int:
    """Writes the page and says where it lies."""
    from faultsim.report.atlas import write_atlas

    page = write_atlas(command.directories, command.out)
    Console().print(f"Atlas: {escape(str(page))}", soft_wrap=True)
    return 0
