"""What a campaign prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.campaign import CampaignConfig, CampaignResult, CellSummary
from faultsim.stats import Estimate

MOST_ROWS = 40


def show_result(console: Console, config: CampaignConfig, result: CampaignResult) -> None:
    """Prints the tables of a finished campaign and where its journal lies."""
    if config.mode == "worst-case":
        _show_worst(console, result)
    else:
        _show_cells(console, config, result)
    console.print(f"Campaign directory: {escape(str(result.directory))}", soft_wrap=True)


def _show_worst(console: Console, result: CampaignResult) -> None:
    for curve, faults in result.worst.items():
        console.print(f"\n[bold]Ranked flips, {curve}[/bold]")
        for number, fault in enumerate(faults, start=1):
            console.print(f"  {number}. {escape(fault)}", soft_wrap=True, highlight=False)
    if not any(faults for faults in result.worst.values()):
        console.print("No flip does harm and keeps every word and output finite.")
    curves = dict.fromkeys(str(cell.cell["curve"]) for cell in result.cells)
    table = Table(title="\nTest accuracy after the most harmful flips found")
    table.add_column("flips up to", justify="right")
    for curve in curves:
        trials = max(cell.trials for cell in result.cells if cell.cell["curve"] == curve)
        heading = f"as many at random, {trials} trials" if curve == "random" else curve
        table.add_column(heading, justify="right")
    table.add_row("0", *(f"{result.golden.acc:.2%}" for _ in curves))
    found = {(str(cell.cell["curve"]), cell.cell["flips"]): cell for cell in result.cells}
    for flips in dict.fromkeys(cell.cell["flips"] for cell in result.cells):
        cells = [found.get((curve, flips)) for curve in curves]
        table.add_row(str(flips), *(str(cell.accuracy) if cell else "–" for cell in cells))
    console.print(table)
    console.print(
        "Searched on validation images, without sampling error; at random: mean over trials, "
        "95 % bootstrap interval."
    )


def _show_cells(console: Console, config: CampaignConfig, result: CampaignResult) -> None:
    cells = result.cells
    if config.mode in ("layer-wise", "bit-wise", "exhaustive"):
        cells = sorted(cells, key=lambda cell: cell.accuracy.value)
    labels = list(dict.fromkeys(label for cell in cells for label in cell.cell))
    title = f"\n{config.mode}, {config.target}, {config.op}: most harmful first"
    table = Table(title=title if cells != result.cells else f"\n{config.mode}, {config.target}")
    for label in labels:
        table.add_column(label, overflow="fold")
    for heading in ("trials", "SDC", "DUE", "masked", "accuracy", "lowest"):
        table.add_column(heading, justify="right")
    for cell in cells[:MOST_ROWS]:
        rates = [_share(cell.rates[name]) for name in ("sdc", "due", "masked")]
        names = [str(cell.cell.get(label, "")) for label in labels]
        values = [str(cell.trials), *rates, _share(cell.accuracy), f"{cell.lowest:.1%}"]
        table.add_row(*map(escape, [*names, *values]))
    console.print(table)
    if len(cells) > MOST_ROWS:
        console.print(f"{len(cells) - MOST_ROWS} more cells are in summary.json.")
    console.print(_footnote(cells))


def _share(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2%}"
    return f"{estimate.value:.2%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def _footnote(cells: Sequence[CellSummary]) -> str:
    sampled = any(cell.accuracy.low is not None for cell in cells)
    intervals = "95 % intervals over trials" if sampled else "without sampling error"
    return (
        f"Share of images with each outcome, mean accuracy and the lowest of a trial; {intervals}."
    )
