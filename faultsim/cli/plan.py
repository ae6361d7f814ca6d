"""``faultsim plan``: what a margin will take."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Plan
from faultsim.config import CampaignConfig


def run(command: Plan) -> int:
    """Prints trials and time, by each way to plan."""
    from faultsim.campaign.planning import forecast

    names = [field.name for field in fields(CampaignConfig)]
    found = forecast(
        CampaignConfig(**{name: getattr(command, name) for name in names}), command.pilot
    )
    console, confidence = Console(), f"{100 * command.confidence:g} %"
    console.print(
        f"{escape(command.rate)} to ±{100 * found.margin:.4g} %{_own(command)} at {confidence}: "
        f"{found.population:,} pairs of a bit and a sample; {1e3 * found.seconds:.3g} ms a trial"
        f"{_shared(found.workers)}; "
        f"after {found.pilot.n:,} trials the rate is {found.pilot}.",
        soft_wrap=True,
    )
    table = Table(title="\nWhat it takes")
    table.add_column("by")
    table.add_column("trials", justify="right")
    table.add_column("time", justify="right")
    ways = {
        "the classical formula (Leveugle 2009), nothing known": found.classical,
        "the same, if the rate is that of the pilot": found.known,
        "--mode estimate, if strata fail as in the pilot": found.stratified,
    }
    for name, trials in ways.items():
        table.add_row(name, f"{trials:,}", _span(found.time(trials)))
    console.print(table)
    console.print("The pilot is a guess; only the estimate itself says when it is enough.")
    return 0


def _own(command: Plan) -> str:
    margin = command.part_margin
    return "" if margin is None else f", each bit and layer to ±{100 * margin:.4g} %,"


def _shared(workers: int) -> str:
    return "" if workers == 1 else f", shared out to {workers} workers"


def _span(seconds: float) -> str:
    """Rounded to seconds, as 3 days, 1:02:03."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
