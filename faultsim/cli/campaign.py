"""``faultsim campaign``: a live progress bar, then what was found."""

from __future__ import annotations

from dataclasses import fields

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from faultsim.cli.commands import Campaign
from faultsim.cli.tables import golden_line, show_result
from faultsim.config import CampaignConfig


def run(command: Campaign) -> int:
    """Runs the campaign and prints its tables."""
    console = Console()
    from faultsim.campaign import Progress, run_campaign

    names = [field.name for field in fields(CampaignConfig)]
    config = CampaignConfig(**{name: getattr(command, name) for name in names})
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("trials"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    directory = None
    try:
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("golden run", total=None, note="")

            def report(progress: Progress) -> None:
                nonlocal directory
                if directory is None:
                    directory = progress.directory
                    console.print(golden_line(progress.golden), soft_wrap=True)
                if progress.trial is None or progress.outcome is None:
                    return
                bar.update(
                    task,
                    description="searching" if "search" in progress.trial.cell else "injecting",
                    completed=progress.done,
                    total=progress.total,
                    note=f"accuracy {progress.outcome.acc:.1%}",
                )

            result = run_campaign(config, progress=report)
    except KeyboardInterrupt:
        if directory is not None:
            console.print(f"Interrupted. To go on, add --resume --out {directory}")
        raise
    show_result(console, config, result)
    return 0
