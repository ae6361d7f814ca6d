"""What a campaign prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from faultsim.campaign import CampaignConfig, CampaignResult, CellSummary
from faultsim.campaign.objective import ACCURACY, Objective
from faultsim.campaign.summary import EVENT
from faultsim.cli.estimated import show_estimate
from faultsim.config.operators import unit
from faultsim.run.outcome import Outcome
from faultsim.stats import Estimate

MOST_ROWS = 40
LABEL = 14  # characters of a long name that stay on one line; rich adds the padding
BY_TRIAL = {"any_sdc": "trials with SDC", "any_due": "trials with DUE"}
INTERVAL = 11  # the same of "[12.3–100.0%]"


def golden_lines(
    golden: Outcome,
    clean: Outcome | None,
    perturbed: str | None,
    objective: Objective = ACCURACY,
) -> list[str]:
    """What the model is worth without faults: on clean images, then on perturbed ones, if any."""
    if clean is None:
        return [f"Golden {_worth(golden, objective.unit)}"]
    return [
        f"Golden {_worth(clean, objective.unit)}",
        f"Under {perturbed}: {_worth(golden, objective.unit)}",
    ]


def _worth(golden: Outcome, unit: str) -> str:
    """As far as it is defined for the data."""
    found = _figures(golden) if golden.of_images else _scores(golden)
    return f"{', '.join(found) or 'run'} on {golden.n:,} test {unit}"


def _figures(golden: Outcome) -> list[str]:
    found = [f"accuracy {golden.acc:.2%}"]
    if golden.auc is not None:
        found.append(f"AUC {golden.auc:.4f}")
    if golden.sensitivity is not None:
        found.append(f"sensitivity {golden.sensitivity:.2%}")
    if golden.specificity is not None:
        found.append(f"specificity {golden.specificity:.2%}")
    return found


def _scores(golden: Outcome) -> list[str]:
    known = {name: value for name, value in golden.metrics.items() if value is not None}
    return [f"{name} {value:.5g}" for name, value in known.items()]


def show_result(console: Console, config: CampaignConfig, result: CampaignResult) -> None:
    """Prints the tables of a finished campaign and where its journal lies."""
    if result.estimate is not None:
        show_estimate(console, config, result)
    elif config.mode == "worst-case":
        _show_worst(console, result)
    else:
        _show_outcomes(console, config, result)
    if result.clean is not None and result.cells:
        _show_interplay(console, result, result.clean)
    console.print(f"Campaign directory: {escape(str(result.directory))}", soft_wrap=True)


def _show_worst(console: Console, result: CampaignResult) -> None:
    for curve, faults in result.worst.items():
        console.print(f"\n[bold]Ranked flips, {curve}[/bold]")
        for number, fault in enumerate(faults, start=1):
            console.print(f"  {number}. {escape(fault)}", soft_wrap=True, highlight=False)
    if not any(faults for faults in result.worst.values()):
        console.print("No flip does harm and keeps every word and output finite.")
    console.print(_curves(result))
    if result.directions:
        columns = ("missed", "false_alarms", "sensitivity", "specificity")
        show_cells(console, "\nDiagnosis", result.cells, columns, result.directions)
    console.print(
        f"Searched on validation {result.objective.unit}, without sampling error; at random: mean "
        "over trials, 95 % interval."
    )


def _curves(result: CampaignResult) -> Table:
    """What counts, against the number of flips."""
    objective, curves = result.objective, dict.fromkeys(c.cell["curve"] for c in result.cells)
    title = escape(objective.title)
    table = Table(title=f"\nTest {title} after the most harmful flips found")
    table.add_column("flips up to", justify="right")
    for curve in curves:
        trials = max(cell.trials for cell in result.cells if cell.cell["curve"] == curve)
        heading = f"as many at random, {trials} trials" if curve == "random" else curve
        table.add_column(heading, justify="right")
    table.add_row("0", *(objective.text(result.golden.score(objective.key)) for _ in curves))
    found = {(cell.cell["curve"], cell.cell["flips"]): cell for cell in result.cells}
    for flips in dict.fromkeys(cell.cell["flips"] for cell in result.cells):
        cells = [found.get((curve, flips)) for curve in curves]
        texts = [_text(cell.accuracy, objective) if cell else "–" for cell in cells]
        table.add_row(str(flips), *texts)
    return table


def _show_outcomes(console: Console, config: CampaignConfig, result: CampaignResult) -> None:
    cells = result.cells
    if config.mode in ("layer-wise", "bit-wise", "exhaustive"):
        cells = sorted(cells, key=_left)
    title = f"\n{config.mode}, {config.target}, {config.op}: most harmful first"
    title = title if cells != result.cells else f"\n{config.mode}, {config.target}"
    counted = f"{unit(config.op)}s"
    names = {**result.directions, "accuracy": result.objective.title, "flips": counted}
    outcomes: tuple[str, ...] = ("sdc", "due", "masked", *_events(cells))
    reached: tuple[str, ...] = ("trials", "accuracy", "lowest")
    if result.directions:
        outcomes = ("sdc", "missed", "false_alarms", "due", "masked", *_events(cells))
        reached = ("trials", "accuracy", "sensitivity", "specificity", "lowest")
    whole = _table(title, cells, (*reached, *outcomes), names)
    if not result.directions and _fits(console, whole):
        console.print(whole)
    else:  # more than one table has room for
        second = "\nDiagnosis" if result.directions else f"\n{_heading(result.objective)}"
        for heading, columns in ((title, outcomes), (second, reached)):
            show_cells(console, heading, cells, columns, names)
    show_cells(console, "\nBy trial", cells, tuple(BY_TRIAL), names)
    if len(cells) > MOST_ROWS:
        console.print(f"{len(cells) - MOST_ROWS} more cells are in summary.json.")
    for line in _footnotes(cells, result.objective):
        console.print(line)


def _left(cell: CellSummary) -> float:
    """By what the most harmful cell is the first: accuracy, or how many samples are unharmed."""
    if cell.objective is None:
        return cell.accuracy.value
    return -(cell.rates["sdc"].value + cell.rates["due"].value)


def _events(cells: Sequence[CellSummary]) -> list[str]:
    return list(dict.fromkeys(EVENT + name for cell in cells for name in cell.events))


def _heading(objective: Objective) -> str:
    """With a capital where it is a word of ours, else as the task calls it."""
    title = objective.title.capitalize() if objective.share else objective.title
    return str(escape(title))


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
    """A row for each cell. Where there is too little room, further columns have their own table.

    Args:
        console: Where to print.
        title: Of the table.
        cells: The rows.
        columns: Names of rates, of ``diagnosis`` or ``interplay``, of events after :data:`EVENT`,
            ``accuracy`` for what counts, ``lowest`` and ``trials``.
        names: Other headings for some of them.
    """
    for part in _side_by_side(console, cells, columns, names):
        table = _table(title, cells, part, names)
        fits = _fits(console, table)  # else the screen has no room for a single interval
        console.print(table if fits else _table(title, cells, part, names, whole=False))
        title = ""


def _side_by_side(
    console: Console, cells: Sequence[CellSummary], columns: Sequence[str], names: Mapping[str, str]
) -> list[list[str]]:
    """The columns in as few groups as there is room for, one after the other."""
    parts: list[list[str]] = [[columns[0]]]
    for name in columns[1:]:
        wider = [*parts[-1], name]
        if _fits(console, _table("", cells, wider, names)):
            parts[-1] = wider
        else:
            parts.append([name])
    return parts


def _fits(console: Console, table: Table) -> bool:
    """Whether the screen shows a table without a break in a heading, a number or an interval."""
    page = Console(width=console.width, color_system=None, file=StringIO())
    with page.capture() as capture:
        page.print(table)
    shown = capture.get()
    told = [column for column in table.columns if column.justify == "right"]  # labels may fold
    texts = [str(text) for column in told for text in (column.header, *column.cells)]
    words = Counter(word for text in texts for word in Text.from_markup(text).plain.split())
    cut_off = "┓" not in shown
    return not cut_off and all(shown.count(word) >= count for word, count in words.items())


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
    headings = {"sdc": "SDC", "due": "DUE", **BY_TRIAL, **names}
    for label in labels:
        longest = max(len(str(cell.cell.get(label, ""))) for cell in cells)
        heading = headings.get(label, label)
        table.add_column(heading, overflow="fold", min_width=min(longest, LABEL) if whole else None)
    values = [_values(cell) for cell in cells[:MOST_ROWS]]
    for name in columns:
        heading = escape(headings.get(name, name.removeprefix(EVENT)))
        width, least = _widths(name, cells, values) if whole else (None, None)
        table.add_column(heading, justify="right", overflow="fold", width=width, min_width=least)
    for cell, known in zip(cells, values, strict=False):
        texts = [str(cell.cell.get(label, "")) for label in labels]
        table.add_row(*map(escape, [*texts, *(known.get(name, "–") for name in columns)]))
    return table


def _widths(
    name: str, cells: Sequence[CellSummary], values: Sequence[Mapping[str, str]]
) -> tuple[int | None, int | None]:
    """Width and least width of a column of whole intervals; an objective's may be of any length."""
    if name in ("trials", "lowest"):
        return None, None
    if name == "accuracy" and any(cell.objective for cell in cells):
        return max(len(part) for known in values for part in known[name].split()), None
    return None, INTERVAL


def _values(cell: CellSummary) -> dict[str, str]:
    shares = {**cell.rates, **cell.diagnosis, **cell.interplay}
    shares |= {"any_sdc": cell.any_sdc, "any_due": cell.any_due}
    shares |= {EVENT + name: rate for name, rate in cell.events.items()}
    known = {name: _share(share) for name, share in shares.items()}
    objective = Objective(cell.objective)
    lowest = objective.text(cell.lowest, digits=1)
    score = {"accuracy": _text(cell.accuracy, objective), "lowest": lowest}
    return {"trials": str(cell.trials), **score, **known}


def _text(estimate: Estimate, objective: Objective) -> str:
    """As :func:`_share`, in the units of what counts."""
    if objective.share:
        return _share(estimate)
    value = objective.text(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:.4g},{estimate.high:.4g}]"


def _share(estimate: Estimate) -> str:
    """No blank within the interval, so that a narrow table breaks before it."""
    return str(estimate)


def _footnotes(cells: Sequence[CellSummary], objective: Objective) -> list[str]:
    sampled = any(rate.low is not None for cell in cells for rate in cell.rates.values())
    methods = {rate.method for cell in cells for rate in cell.rates.values()}
    intervals = "95 % intervals over trials" if sampled else "without sampling error"
    intervals = "no interval of one trial" if methods == {"one trial"} else intervals
    title = escape(objective.title)
    found = [
        f"Share of {objective.unit} with each outcome, mean {title} and the lowest of a trial; "
        f"{intervals}."
    ]
    lost = sum(cell.trials - cell.accuracy.n for cell in cells)
    if lost:
        trials = f"{lost:,} {'trial has' if lost == 1 else 'trials have'}"
        found.append(f"{trials} no finite {title}, and no part in its mean.")
    return found
