"""``faultsim perturb``: accuracy and AUC under each perturbation, beside the clean images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Perturb
from faultsim.cli.interrupted import say_how_to_go_on
from faultsim.config import PerturbConfig
from faultsim.progress import CampaignBar

GIVEN = ("severity", "profile")
INTERVAL = 16  # characters of "[-12.34, +12.34]", which stay on one line
WIDE = 100  # of a terminal with room for that


def run(command: Perturb) -> int:
    """Evaluates each setting under a progress bar and prints the table."""
    from faultsim.study.perturbations import run_perturbations

    console = Console()
    config = PerturbConfig(**{f.name: getattr(command, f.name) for f in fields(PerturbConfig)})
    begun = False
    try:
        with CampaignBar(console) as bar:

            def report(setting: str, done: int, total: int) -> None:
                nonlocal begun
                begun = True
                bar.begin(setting, done, total)

            result = run_perturbations(config, progress=report)
    except KeyboardInterrupt:
        if begun and config.out is not None:
            say_how_to_go_on(console, config.out)
        raise
    show_perturbations(console, result.record)
    if result.path is not None:
        console.print(f"Record: {escape(str(result.path))}", soft_wrap=True)
    return 0


def show_perturbations(console: Console, record: Mapping[str, Any]) -> None:
    """A row for the clean images and for each setting; what all of a kind share stands below."""
    images, name = record["clean"]["n"], record["data"]["name"]
    table = Table(title=f"\n{escape(name)}, {images:,} test images")
    width = INTERVAL if console.width >= WIDE else None  # else intervals break at their comma
    table.add_column("perturbation", overflow="fold", min_width=width)
    for heading in ("accuracy", "change", "AUC", "change"):
        table.add_column(heading, justify="right", min_width=width)
    shared = _shared(record["rows"])
    for row in (record["clean"], *record["rows"]):
        cells = [_share(row["accuracy"]), _share(row.get("accuracy_change"), sign="+")]
        cells += [_area(row["auc"]), _area(row.get("auc_change"), sign="+")]
        own = [item for item in _settings(row) if item not in shared.get(row.get("kind"), ())]
        table.add_row(*map(escape, [" ".join([row["setting"].partition(":")[0], *own]), *cells]))
    console.print(table)
    for kind, items in shared.items():
        if items:
            console.print(escape(f"{kind}: {', '.join(items)}"), highlight=False)
    console.print("95 % intervals over images; changes are paired, image by image.")


def _settings(row: Mapping[str, Any]) -> list[str]:
    """What was set, as people type it; not what a severity stands for, nor what is off."""
    items = [item for item in row["setting"].partition(":")[2].split(",") if item]
    items = [item for item in items if not item.endswith("=false")]
    names = [item.partition("=")[0] for item in items]
    return [i for i, n in zip(items, names, strict=True) if "severity" not in names or n in GIVEN]


def _shared(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Of kinds tried more than once, the settings that are the same in all rows."""
    kinds: dict[str, list[list[str]]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(_settings(row))
    return {
        kind: [item for item in tried[0] if all(item in other for other in tried)]
        for kind, tried in kinds.items()
        if len(tried) > 1
    }


def _share(estimate: Mapping[str, Any] | None, sign: str = "") -> str:
    return _interval(estimate, lambda x: f"{100 * x:{sign}.2f}", " %")


def _area(estimate: Mapping[str, Any] | None, sign: str = "") -> str:
    return _interval(estimate, lambda x: f"{x:{sign}.3f}", "")


def _interval(estimate: Mapping[str, Any] | None, text: Any, unit: str) -> str:
    """Value and interval on lines of their own; a dash for what is undefined."""
    if estimate is None:
        return "–"
    value = f"{text(estimate['value'])}{unit}"
    if estimate["low"] is None:
        return value
    return f"{value}\n[{text(estimate['low'])}, {text(estimate['high'])}]"
