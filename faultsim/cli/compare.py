"""``faultsim compare``: two campaigns beside each other."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Compare
from faultsim.stats import Estimate


def run(command: Compare) -> int:
    """Prints the rates of both, and their differences."""
    from faultsim.campaign import compare

    found = compare(command.first, command.second, command.confidence)
    console, trials = Console(), len({str(change.cell) for change in found.changes})
    console.print(
        "Paired: each trial struck the same faults in both."
        if found.paired
        else f"Not paired: {found.why}.",
        soft_wrap=True,
    )
    table = Table(title="\nSecond less first, in percentage points")
    if trials > 1:
        table.add_column("condition", overflow="fold")
    for name in ("rate", "first", "second", "difference"):
        table.add_column(name)
    counts = ("removed", "introduced", "left") if found.paired else ()
    for name in counts:
        table.add_column(name, justify="right")
    for change in found.changes:
        cell = [escape(", ".join(f"{k} {v}" for k, v in change.cell.items()))] if trials > 1 else []
        told = [str(change.first), str(change.second), _points(change.difference)]
        numbers = [f"{getattr(change, name):,}" for name in counts]
        table.add_row(*cell, escape(change.rate), *told, *numbers)
    console.print(table)
    level = f"{100 * found.confidence:g} %"
    what = "; removed, introduced and left are trials with the event" if found.paired else ""
    console.print(
        f"Intervals of differences are of {level}, each of its own{what}.", soft_wrap=True
    )
    return 0


def _points(found: Estimate) -> str:
    value = f"{100 * found.value:+.2f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} [{100 * found.low:+.2f} to {100 * found.high:+.2f}]"
