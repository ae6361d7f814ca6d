"""``faultsim harden``: which layers to protect for a budget."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from faultsim.cli.commands import Harden

if TYPE_CHECKING:
    from faultsim.campaign.hardened import Hardening

MOST_ROWS = 20
DETECTING = (
    " What only detects makes DUE of SDC, and so gains nothing of both: --rate sdc counts SDC."
)


def run(command: Harden) -> int:
    """Prints the layers, and the choice on fresh faults; 1 where it does not hold there."""
    from faultsim.campaign.hardening import harden

    console = Console()
    with Progress(console=console, transient=True) as bar:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        found = harden(progress=report, **asdict(command))
    console.print(_layers(found))
    for line in told(found):
        console.print(escape(line), soft_wrap=True)
    if command.out is not None and found.fresh is not None:
        from faultsim.report import write_report

        page = write_report([command.out]).page
        console.print(f"Choice and page: {escape(str(page.parent))}", soft_wrap=True)
    return 0 if found.holds else 1


def _layers(found: Hardening) -> Table:
    table = Table(title=f"\nWhat {escape(found.protection)} gains and takes in each layer alone")
    table.add_column("layer", overflow="fold")
    for heading in ("harm removed", f"more {found.of}", "chosen"):
        table.add_column(heading, justify="right")
    shown = [layer for layer in found.layers[:MOST_ROWS] if layer.gain > 0]
    for layer in shown:
        gain, cost = f"{100 * layer.gain:.3g} %", f"{100 * layer.cost:.3g} %"
        table.add_row(escape(layer.name or "(root)"), gain, cost, "yes" if layer.chosen else "")
    return table


def told(found: Hardening) -> list[str]:
    """The choice, what was promised, and what fresh faults say, in sentences."""
    of = f"{100 * found.budget:g} % of {found.of}"
    if found.fresh is None or found.everything is None:
        said = f"No layer gains anything from {found.protection} within {of}."
        return [said + (DETECTING if found.rate == "failure" else "")]
    change, whole = (
        next(each for each in paid.changes if each.rate == found.rate)
        for paid in (found.fresh, found.everything)
    )
    chosen = sum(layer.chosen for layer in found.layers)
    low, high = (
        f"{100 * (end or 0.0):+.3g}" for end in (change.difference.low, change.difference.high)
    )
    spent = [getattr(paid.cost, found.of) for paid in (found.fresh, found.everything)]
    return [
        f"--protect {found.protect}",
        f"{chosen} layers within {of} ({found.method}); all together it is ×{spent[0]:.3f} of "
        f"{found.of}, for every layer ×{spent[1]:.3f}.",
        f"Recorded faults: {found.rate} {100 * found.harm:.3g} % of samples, "
        f"{100 * found.predicted:+.3g} points promised.",
        f"Fresh faults: {100 * change.first.value:.3g} %, {100 * change.difference.value:+.3g} "
        f"points [{low} to {high}]; {100 * whole.difference.value:+.3g} with every layer.",
        "The choice holds: the interval lies below 0, within the budget."
        if found.holds
        else "The choice does not hold: the interval reaches 0, or it takes more than the budget.",
    ]
