"""``faultsim fit``: failures in time, and the hours between them."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.campaign.fit import TRIAL, Fit, Part
from faultsim.cli.commands import Fit as Command
from faultsim.stats import Estimate
from faultsim.stats.fit import hours_between

MOST_ROWS = 40
HEADINGS = {"failure": "SDC or DUE", "sdc": "SDC", "due": "DUE"}


def run(command: Command) -> int:
    """Prints FIT of the whole and of each layer, and the mean time between failures."""
    from faultsim.campaign.directory import read_campaign
    from faultsim.campaign.fit import fit_of

    found = read_campaign(Path(command.directory))
    estimate = found.summary.estimate if found.summary else None
    told = fit_of(found.manifest, found.lines, estimate, command.fit_per_mbit)
    console, unit = Console(), "sample"
    console.print(
        f"{told.fit_per_mbit:g} events in 10⁹ hours and Mbit (2²⁰ bits), "
        f"{told.whole.bits:,} bits: {told.fit_per_mbit * told.whole.bits / 2**20:.4g} FIT raw.",
        soft_wrap=True,
    )
    console.print(_whole(told, command.fleet, unit))
    if told.layers:
        console.print(_layers(told))
    if len(told.layers) > MOST_ROWS:
        console.print(f"{len(told.layers) - MOST_ROWS} more layers have less.")
    console.print(
        "95 % intervals of what was measured; how well the memory's own rate is known is not in "
        "them.",
        soft_wrap=True,
    )
    return 0


def _whole(told: Fit, fleet: int, unit: str) -> Table:
    table = Table(title="\nFailures in 10⁹ hours (FIT)")
    table.add_column("outcome")
    table.add_column("FIT", justify="right")
    table.add_column(f"hours between, of {fleet:,}", justify="right")
    for name, rate in told.whole.rates.items():
        outcome = name.removeprefix(TRIAL)
        of = f"in any {unit} of a trial" if name.startswith(TRIAL) else f"in one {unit}"
        heading = f"{HEADINGS.get(outcome, outcome)}, {of}"
        table.add_row(escape(heading), number(rate), hours(hours_between(rate, fleet)))
    return table


def _layers(told: Fit) -> Table:
    names = [name for name in told.whole.rates if not name.startswith(TRIAL)]
    table = Table(title="\nBy layer, in one sample")
    table.add_column("layer", overflow="fold")
    table.add_column("bits", justify="right")
    table.add_column("trials", justify="right")
    for name in names:
        table.add_column(HEADINGS.get(name, escape(name)), justify="right")
    ranked = sorted(told.layers.items(), key=lambda pair: _rank(pair[1], names[0]))
    for layer, part in ranked[:MOST_ROWS]:
        n = next(iter(part.rates.values())).n
        texts = [number(part.rates[name]) for name in names]
        table.add_row(escape(layer), f"{part.bits:,}", f"{n:,}", *texts)
    return table


def _rank(part: Part, name: str) -> float:
    value = part.rates[name].value
    return math.inf if math.isnan(value) else -value


def number(rate: Estimate) -> str:
    """A rate and its interval, with three digits."""
    value = "–" if math.isnan(rate.value) else f"{rate.value:.3g}"
    if rate.low is None or rate.high is None:
        return value
    return f"{value} [{rate.low:.3g}–{rate.high:.3g}]"


def hours(time: Estimate) -> str:
    """A time and its interval; one that is never over is "∞"."""
    texts = ["∞" if math.isinf(t) else f"{t:.3g}" for t in (time.value, time.low, time.high) if t]
    return texts[0] if len(texts) < 3 else f"{texts[0]} [{texts[1]}–{texts[2]}]"
