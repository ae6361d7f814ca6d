"""``faultsim protect``: which protection pays."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from faultsim.cli.caveats import caveat_lines
from faultsim.cli.commands import Protect
from faultsim.config import CampaignConfig

if TYPE_CHECKING:
    from faultsim.campaign.comparison import Change
    from faultsim.campaign.protections_record import Paid

RATES = ("sdc", "due")
COSTS = ("time", "memory", "golden", "own words")
NOT_RESUMED = "Nothing is kept of a comparison that was stopped: run it again, with fewer --trials."
WIDE = 120
"""Columns of a terminal that has room for what protections do and for what they cost."""

NOTE = (
    "Changes are protected less bare, in percentage points of the samples, with paired intervals "
    "of 95 %; removed, introduced and left are trials with the event. Time is the simulator's: "
    "real memories decode ECC in hardware. Own words: the samples that fail where one bit is "
    "struck of what the protection added."
)


def run(command: Protect) -> int:
    """Prints one row for each protection, condition and rate."""
    from faultsim.campaign.protecting import compare_protections
    from faultsim.campaign.recommending import recommendation

    names = [field.name for field in fields(CampaignConfig)]
    config = CampaignConfig(**{name: getattr(command, name) for name in names})
    console = Console()
    try:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("trials", total=None)

            def report(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            found = compare_protections(config, command.protections, progress=report)
    except KeyboardInterrupt:
        console.print(NOT_RESUMED, soft_wrap=True)
        raise
    for table in tables(found, console.width):
        console.print(table)
    console.print(NOTE, soft_wrap=True)
    for line in caveat_lines(command.protections, command.target):
        console.print(line, soft_wrap=True)
    console.print(escape(recommendation(found, command.budget)), soft_wrap=True)
    if command.out is not None:
        from faultsim.report import write_report

        page = write_report([command.out]).page
        console.print(f"Record and page: {escape(str(page.parent))}", soft_wrap=True)
    return 0


def tables(found: list[Paid], width: int) -> list[Table]:
    """What becomes of the faults, and what that costs: in one table where there is room.

    Args:
        found: The protections.
        width: Of the terminal.
    """
    if width >= WIDE:
        return [_changes(found, costs=True)]
    return [_changes(found, costs=False), _costs(found)]


def _changes(found: list[Paid], *, costs: bool) -> Table:
    conditions = {str(change.cell) for paid in found for change in paid.changes}
    table = _titled("The same faults with and without each protection")
    table.add_column("rate", no_wrap=True)
    for name in ("bare", "protected", "change"):
        table.add_column(name, overflow="fold", min_width=9)
    for name in ("trials", "cost")[: 1 + costs]:
        table.add_column(name, no_wrap=True)
    for paid in found:
        for number, change in enumerate(each for each in paid.changes if each.rate in RATES):
            names = [paid.name] * (not number)
            if len(conditions) > 1 and change.rate == RATES[0]:
                names.append(", ".join(f"{key} {label}" for key, label in change.cell.items()))
            cost = [] if not costs else ["" if number else _cost(paid)]
            table.add_row(escape("\n".join(names)), *_rates(change), *cost)
        table.add_section()
    return table


def _titled(title: str) -> Table:
    table = Table(title=f"\n{title}")
    table.add_column("protection", overflow="fold")
    return table


def _rates(change: Change) -> list[str]:
    difference = change.difference
    value = f"{100 * difference.value:+.2f}"
    if difference.low is not None and difference.high is not None:
        value += f" [{100 * difference.low:+.2f} to {100 * difference.high:+.2f}]"
    counts = f"removed {change.removed:,}\nintroduced {change.introduced:,}\nleft {change.left:,}"
    return [change.rate, str(change.first), str(change.second), escape(value), counts]


def _costs(found: list[Paid]) -> Table:
    table = _titled("What each costs")
    for name in COSTS:
        table.add_column(name, overflow="fold")
    for paid in found:
        table.add_row(escape(paid.name), *map(escape, _told(paid)))
    return table


def _cost(paid: Paid) -> str:
    return escape(
        "\n".join(f"{name} {told}" for name, told in zip(COSTS, _told(paid), strict=True))
    )


def _told(paid: Paid) -> list[str]:
    cost = paid.cost
    time = f"×{cost.time:.2f} ({cost.fastest:.2f} to {cost.slowest:.2f})"
    own = "none" if paid.own is None else str(paid.own)
    return [time, f"×{cost.memory:.3f}", f"{cost.golden:+.4g}", own]
