"""``faultsim plan``: what a margin will take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Plan
from faultsim.config import CampaignConfig

if TYPE_CHECKING:
    from faultsim.campaign.planning import Forecast


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
        f"the same, if the rate is {_guessed(found.pilot.value)}": found.known,
        "--mode estimate, if strata fail as in the pilot": found.stratified,
    }
    for name, trials in ways.items():
        table.add_row(name, f"{trials:,}", _span(found.time(trials)))
    console.print(table)
    for note in _notes(found, command):
        console.print(note, soft_wrap=True)
    return 0


def _guessed(rate: float) -> str:
    return "that of the pilot" if rate > 0 else "the highest that the pilot allows"


def _notes(found: Forecast, command: Plan) -> Iterator[str]:
    most = command.max_trials
    yield "The pilot is a guess; only the estimate itself says when it is enough."
    if command.part_margin is not None:
        yield "For each bit and layer it guesses too few: they have taken up to four times as many."
    if most is not None and most < found.stratified:
        yield f"--max-trials {most:,} ends it before that."
    if found.population <= found.stratified:
        yield "There are no more pairs than that: --mode exhaustive tries all, and has no interval."


def _own(command: Plan) -> str:
    margin = command.part_margin
    return "" if margin is None else f", each bit and layer to ±{100 * margin:.4g} %,"


def _shared(workers: int) -> str:
    return "" if workers == 1 else f", shared out to {workers} workers"


def _span(seconds: float) -> str:
    """Rounded to seconds, as 3 days, 1:02:03."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
