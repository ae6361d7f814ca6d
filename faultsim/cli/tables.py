"""What a campaign prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.campaign import CampaignConfig, CampaignResult, CellSummary
from faultsim.run.trial import Outcome
from faultsim.stats import Estimate

MOST_ROWS = 40
LABEL = 14  # characters of a long name that stay on one line; rich adds the padding
INTERVAL = 11  # the same of "[12.3–100.0%]"


def golden_lines(golden: Outcome, clean: Outcome | None, perturbed: str | None) -> list[str]:
    """What the model is worth without faults: on clean images, then on perturbed ones, if any."""
    if clean is None:
        return [f"Golden {_worth(golden)}"]
    return [f"Golden {_worth(clean)}", f"Under {perturbed}: {_worth(golden)}"]


def _worth(golden: Outcome) -> str:
    """As far as it is defined for the data."""
    found = [f"accuracy {golden.acc:.2%}"]
    if golden.auc is not None:
        found.append(f"AUC {golden.auc:.4f}")
    if golden.sensitivity is not None:
        found.append(f"sensitivity {golden.sensitivity:.2%}")
    if golden.specificity is not None:
        found.append(f"specificity {golden.specificity:.2%}")
    return f"{', '.join(found)} on {golden.n:,} test images"


def show_result(console: Console, config: CampaignConfig, result: CampaignResult) -> None:
    """Prints the tables of a finished campaign and where its journal lies."""
    if config.mode == "worst-case":
        _show_worst(console, result)
    else:
        _show_outcomes(console, config, result)
    if result.clean is not None:
        _show_interplay(console, result, result.clean)
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
    if result.directions:
        columns = ("missed", "false_alarms", "sensitivity", "specificity")
        show_cells(console, "\nDiagnosis", result.cells, columns, result.directions)
    console.print(
        "Searched on validation images, without sampling error; at random: mean over trials, "
        "95 % interval."
    )


def _show_outcomes(console: Console, config: CampaignConfig, result: CampaignResult) -> None:
    cells = result.cells
    if config.mode in ("layer-wise", "bit-wise", "exhaustive"):
        cells = sorted(cells, key=lambda cell: cell.accuracy.value)
    title = f"\n{config.mode}, {config.target}, {config.op}: most harmful first"
    title = title if cells != result.cells else f"\n{config.mode}, {config.target}"
    outcomes: tuple[str, ...] = ("sdc", "due", "masked")
    reached: tuple[str, ...] = ("trials", "accuracy", "lowest")
    if result.directions:
        outcomes = ("sdc", "missed", "false_alarms", "due", "masked")
        reached = ("trials", "accuracy", "sensitivity", "specificity", "lowest")
    whole = _table(title, cells, (*reached, *outcomes), result.directions)
    if not result.directions and _fits(console, whole):
        console.print(whole)
    else:  # more than one table has room for
        second = "\nDiagnosis" if result.directions else "\nAccuracy"
        for heading, columns in ((title, outcomes), (second, reached)):
            show_cells(console, heading, cells, columns, result.directions)
    if len(cells) > MOST_ROWS:
        console.print(f"{len(cells) - MOST_ROWS} more cells are in summary.json.")
    console.print(_footnote(cells))


def _show_interplay(console: Console, result: CampaignResult, clean: Outcome) -> None:
    headings = {"faults_alone": "faults alone", "accuracy": "both", "excess": "excess loss"}
    title = "\nAccuracy under faults and perturbed images"
    show_cells(console, title, result.cells, tuple(headings), headings)
    console.print(
        f"Clean {clean.acc:.2%}, perturbed alone {result.golden.acc:.2%}. Excess loss: what both "
        "together take beyond the sum of what each takes alone."
    )


def show_cells(
    console: Console,
    title: str,
    cells: Sequence[CellSummary],
    columns: Sequence[str],
    names: Mapping[str, str],
) -> None:
    """A row for each cell. Where there is too little room, intervals break: no column vanishes.

    Args:
        console: Where to print.
        title: Of the table.
        cells: The rows.
        columns: Names of rates, of ``diagnosis`` or ``interplay``, ``accuracy``, ``lowest`` and
            ``trials``.
        names: Other headings for some of them.
    """
    table = _table(title, cells, columns, names)
    fits = _fits(console, table)
    console.print(table if fits else _table(title, cells, columns, names, whole=False))


def _fits(console: Console, table: Table) -> bool:
    endless = console.options.update(max_width=1000)
    return console.measure(table, options=endless).minimum <= console.width


def _table(
    title: str,
    cells: Sequence[CellSummary],
    columns: Sequence[str],
    names: Mapping[str, str],
    *,
    whole: bool = True,
) -> Table:
    """A row for each cell: its labels, then the columns, some of them under other names.

    Intervals stay whole unless ``whole`` is off.
    """
    table = Table(title=title)
    labels = list(dict.fromkeys(label for cell in cells for label in cell.cell))
    headings = {"sdc": "SDC", "due": "DUE", **names}
    for label in labels:
        longest = max(len(str(cell.cell.get(label, ""))) for cell in cells)
        table.add_column(label, overflow="fold", min_width=min(longest, LABEL) if whole else None)
    for name in columns:
        width = INTERVAL if whole and name not in ("trials", "lowest") else None
        heading = escape(headings.get(name, name))
        table.add_column(heading, justify="right", overflow="fold", min_width=width)
    for cell in cells[:MOST_ROWS]:
        texts = [str(cell.cell.get(label, "")) for label in labels]
        known = _values(cell)
        table.add_row(*map(escape, [*texts, *(known.get(name, "–") for name in columns)]))
    return table


def _values(cell: CellSummary) -> dict[str, str]:
    shares = {**cell.rates, "accuracy": cell.accuracy, **cell.diagnosis, **cell.interplay}
    counted = {"trials": str(cell.trials), "lowest": f"{cell.lowest:.1%}"}
    return counted | {name: _share(share) for name, share in shares.items()}


def _share(estimate: Estimate) -> str:
    """No blank within the interval, so that a narrow table breaks before it."""
    return str(estimate)


def _footnote(cells: Sequence[CellSummary]) -> str:
    sampled = any(rate.low is not None for cell in cells for rate in cell.rates.values())
    intervals = "95 % intervals over trials" if sampled else "without sampling error"
    return (
        f"Share of images with each outcome, mean accuracy and the lowest of a trial; {intervals}."
    )
