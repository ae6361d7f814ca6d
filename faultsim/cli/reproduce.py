"""``faultsim reproduce``: one recorded trial again."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Reproduce

MOST_FAULTS = 20


def run(command: Reproduce) -> int:
    """Prints the recorded outcome beside the new one; 1 if they differ."""
    from faultsim.campaign import reproduce

    again = reproduce(command.directory, command.trial, trust_code=command.trust_code)
    console = Console()
    for event in again.struck:
        console.print(escape(event), soft_wrap=True, highlight=False)
    for fault in again.faults[:MOST_FAULTS]:
        console.print(escape(fault), soft_wrap=True, highlight=False)
    if len(again.faults) > MOST_FAULTS:
        console.print(f"and {len(again.faults) - MOST_FAULTS} more faults")
    table = Table("outcome", "recorded", "again")
    was, now = again.recorded.to_json(), again.again.to_json()
    for key in was:
        table.add_row(key, str(was[key]), str(now[key]))
    console.print(table)
    same = not again.differences
    console.print("The outcome is the same." if same else "The outcome DIFFERS.")
    return 0 if same else 1
