"""``faultsim protect``: which protection pays."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from faultsim.cli.commands import Protect
from faultsim.config import CampaignConfig

if TYPE_CHECKING:
    from faultsim.campaign.comparison import Change
    from faultsim.campaign.protections_record import Paid
    from faultsim.stats import Estimate

RATES = ("sdc", "due")
NOTE = (
    "Changes are protected less bare, in percentage points of the samples, with paired intervals "
    "of 95 %; removed, introduced and left are trials with the event. Time is the simulator's: "
    "real memories decode ECC in hardware. Own words: the samples that fail where one bit is "
    "struck of what the protection added."
)
FLATTERED = (
    "Bounds of activations are from the samples that are judged, which flatters them: faultsim "
    "bounds --out FILE writes those of others, for ranger=FILE."
)


def run(command: Protect) -> int:
    """Prints one row for each protection, condition and rate."""
    from faultsim.campaign.protecting import compare_protections
    from faultsim.campaign.recommending import recommendation

    names = [field.name for field in fields(CampaignConfig)]
    config = CampaignConfig(**{name: getattr(command, name) for name in names})
    console = Console()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("trials", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = compare_protections(config, command.protections, progress=report)
    console.print(_table(found))
    console.print(NOTE, soft_wrap=True)
    if _flattered(command.protections):
        console.print(FLATTERED, soft_wrap=True)
    console.print(escape(recommendation(found, command.budget)), soft_wrap=True)
    if command.out is not None:
        from faultsim.report import write_report

        page = write_report([command.out]).page
        console.print(f"Record and page: {escape(str(page.parent))}", soft_wrap=True)
    return 0


def _flattered(protections: tuple[str, ...]) -> bool:
    from faultsim.protections import protections_of
    from faultsim.protections.ranges import RangeRestriction

    found = protections_of(protections)
    return any(isinstance(each, RangeRestriction) and each.rehearses for each in found)


def _table(found: list[Paid]) -> Table:
    conditions = {str(change.cell) for paid in found for change in paid.changes}
    table = Table(title="\nThe same faults with and without each protection")
    table.add_column("protection", no_wrap=True)
    if len(conditions) > 1:
        table.add_column("condition", overflow="fold")
    for name in ("rate", "bare", "protected", "change", "trials", "cost"):
        table.add_column(name)
    for paid in found:
        for number, change in enumerate(each for each in paid.changes if each.rate in RATES):
            cell = escape(", ".join(f"{k} {v}" for k, v in change.cell.items()))
            ends = escape(paid.name) if not number else "", "" if number else _cost(paid)
            shown = [*([cell] if len(conditions) > 1 else ()), *_rates(change)]
            table.add_row(ends[0], *shown, ends[1])
        table.add_section()
    return table


def _rates(change: Change) -> list[str]:
    difference = change.difference
    value = f"{100 * difference.value:+.2f}"
    if difference.low is not None and difference.high is not None:
        value += f" [{100 * difference.low:+.2f} to {100 * difference.high:+.2f}]"
    counts = f"removed {change.removed:,}\nintroduced {change.introduced:,}\nleft {change.left:,}"
    return [change.rate, str(change.first), str(change.second), escape(value), counts]


def _cost(paid: Paid) -> str:
    cost = paid.cost
    return (
        f"time ×{cost.time:.2f} ({cost.fastest:.2f} to {cost.slowest:.2f})\n"
        f"memory ×{cost.memory:.3f}\ngolden {cost.golden:+.4g}\nown words {_own(paid.own)}"
    )


def _own(own: Estimate | None) -> str:
    return "none" if own is None else str(own)
