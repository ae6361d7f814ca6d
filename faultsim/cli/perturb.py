"""``faultsim perturb``: accuracy and AUC under each perturbation, beside the clean images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Perturb
from faultsim.cli.progress import CampaignBar, say_how_to_go_on
from faultsim.config import PerturbConfig

INTERVAL = 15  # characters of "[-12.34, +12.34]" that stay on one line


def run(command: Perturb) -> int:
    """Evaluates each setting under a progress bar and prints the table."""
    from faultsim.robustness import run_perturbations

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
    """A row for the clean images and for each setting."""
    images, name = record["clean"]["n"], record["data"]["name"]
    table = Table(title=f"\n{escape(name)}, {images:,} test images")
    table.add_column("perturbation", overflow="fold", min_width=20)
    for heading in ("accuracy", "change", "AUC", "change"):
        table.add_column(heading, justify="right", min_width=INTERVAL)
    for row in (record["clean"], *record["rows"]):
        cells = [_share(row["accuracy"]), _share(row.get("accuracy_change"), sign="+")]
        cells += [_area(row["auc"]), _area(row.get("auc_change"), sign="+")]
        table.add_row(escape(row["setting"].replace(",", ", ")), *map(escape, cells))
    console.print(table)
    console.print("95 % intervals over images; changes are paired, image by image.")


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
