"""``faultsim report``: a page and figures from what was recorded."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from faultsim.cli.commands import Report
from faultsim.errors import ConfigError


def run(command: Report) -> int:
    """Writes the report and prints where it lies."""
    from faultsim.report import write_report
    from faultsim.report.words import plural

    if command.format and command.figures is None:
        raise ConfigError("--format goes with --figures, the folder to write them to")
    formats = command.format or ("pdf",)
    written = write_report(command.directories, command.out, command.figures, formats)
    console = Console()
    found = [
        (written.campaigns, "campaign"),
        (written.perturbations, "perturbation record"),
        (written.protections, "comparison of protections"),
    ]
    told = [f"{n} {plural(name, n)}" for n, name in found if n]
    console.print(f"Report of {' and '.join(told)}: {escape(str(written.page))}", soft_wrap=True)
    if command.figures is not None:
        console.print(escape(_of_figures(len(written.figures), command.figures)), soft_wrap=True)
    return 0


def _of_figures(files: int, folder: str) -> str:
    if not files:
        return f"There are no figures of these campaigns: nothing is written to {folder}"
    return f"{files} files of figures and data: {folder}"
