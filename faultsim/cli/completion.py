"""``faultsim completion``: what a shell needs to complete commands, flags and values."""

from __future__ import annotations

from faultsim.cli.commands import Completion
from faultsim.cli.parsing import parse


def run(command: Completion) -> int:
    """Prints the script of the shell."""
    try:
        parse(["--tyro-print-completion", command.shell])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
