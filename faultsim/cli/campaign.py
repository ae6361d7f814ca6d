"""``faultsim campaign``: a live progress bar, then what was found."""

from __future__ import annotations

from dataclasses import fields

from rich.console import Console
from rich.markup import escape

from faultsim.cli.caveats import caveat_lines
from faultsim.cli.commands import Campaign
from faultsim.cli.events import Events
from faultsim.cli.interrupted import say_how_to_go_on
from faultsim.cli.skipped import skipped_lines
from faultsim.cli.stopping import raise_again
from faultsim.cli.tables import golden_lines, show_result
from faultsim.config import CampaignConfig
from faultsim.pace import Pace
from faultsim.progress import CampaignBar

WHOLE = "The model cannot be cut between its modules: every trial runs all of it."


def run(command: Campaign) -> int:
    """Runs the campaign and prints its tables."""
    console = Console()
    from faultsim.campaign import Progress, run_campaign
    from faultsim.executors.growing import WORKERS

    config = CampaignConfig(**{f.name: getattr(command, f.name) for f in fields(CampaignConfig)})
    if command.json:
        events = Events(Pace(config.mode))
        events.end(run_campaign(config, progress=events.report))
        return 0
    directory, lost = None, dict[str, str]()
    try:
        with CampaignBar(console, config.mode) as bar:

            def report(progress: Progress) -> None:
                nonlocal directory
                raise_again()
                if directory is None:
                    directory = progress.directory
                    known = (progress.golden, progress.clean, config.perturb, progress.objective)
                    for line in golden_lines(*known):
                        console.print(line, soft_wrap=True)
                    for line in skipped_lines(progress.skipped):
                        console.print(line, soft_wrap=True)
                    for line in caveat_lines([config.protect or ""], config.target):
                        console.print(line, soft_wrap=True)
                    if config.replay and not progress.replays:
                        console.print(WHOLE, soft_wrap=True)
                lost.update(progress.lost)
                bar.advance(progress)

            result = run_campaign(config, progress=report)
    except KeyboardInterrupt:
        if directory is not None:
            say_how_to_go_on(console, directory)
        raise
    show_result(console, config, result)
    for what, why in lost.items():
        short = "One process ran all trials" if what == WORKERS else f"Not replayed: {what}"
        console.print(escape(f"{short}, since {why}"), soft_wrap=True)
    return 0
