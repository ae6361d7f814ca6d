"""What a campaign that estimated a rate prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.campaign import CampaignConfig, CampaignResult
from faultsim.config.operators import struck
from faultsim.stats import Estimate

MOST_ROWS = 12
NAMES = {"failure": "failure (SDC or DUE)", "sdc": "SDC", "due": "DUE"}


def show_estimate(console: Console, config: CampaignConfig, result: CampaignResult) -> None:
    """Prints the rate, then each bit's and layer's own."""
    found = result.estimate
    assert found is not None
    name = escape(NAMES.get(config.rate, config.rate))
    console.print(f"\n[bold]{name} of a random {_fault(config)}: {found}[/bold]", highlight=False)
    console.print(
        f"{100 * config.confidence:g} % interval, valid whenever one stops; {found.n:,} trials of "
        f"one fault on one of the {result.objective.unit}, {escape(found.method)}."
    )
    if not result.reached:
        lacking = "The margin" if config.part_margin is None else "Not every margin"
        verb = "not reached" if config.part_margin is None else "reached"
        console.print(f"{lacking} asked for is {verb} after {found.n:,} trials.")
    for label in dict.fromkeys(label for cell, _ in result.parts for label in cell):
        console.print(_table(label, [(c[label], own) for c, own in result.parts if label in c]))


def _fault(config: CampaignConfig) -> str:
    what = struck(config.op, 1).removeprefix("1 ")
    return f"{'bit flip' if config.op == 'flip' else what} in {config.target}"


def _table(label: str, parts: Sequence[tuple[Any, Estimate]]) -> Table:
    worst = sorted(parts, key=lambda pair: _least(pair[1]), reverse=True)[:MOST_ROWS]
    table = Table(title=f"\nBy {label}, most harmful first; each interval is of its own")
    table.add_column(label, overflow="fold")
    table.add_column("trials", justify="right")
    table.add_column("rate", justify="right")
    for name, own in worst:
        table.add_row(escape(str(name)), f"{own.n:,}", str(own) if own.n else "–")
    if len(parts) > len(worst):
        table.caption = f"{len(parts) - len(worst):,} more are in summary.json, and every stratum."
    return table


def _least(own: Estimate) -> tuple[float, float]:
    return (own.low or 0.0, own.value if own.n else -1.0)
