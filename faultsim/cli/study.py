"""``faultsim study``: every part under a progress bar, then what was found on each data set."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from faultsim.cli.commands import Study
from faultsim.cli.interrupted import say_how_to_go_on
from faultsim.cli.perturb import show_perturbations
from faultsim.cli.stopping import raise_again
from faultsim.cli.tables import show_cells
from faultsim.config import StudyConfig
from faultsim.progress import CampaignBar
from faultsim.study.perturbations import PerturbResult

if TYPE_CHECKING:
    from faultsim.campaign import CampaignResult
    from faultsim.study import Step

MOST_HARMFUL = 5  # layers and bits shown of each campaign that ranks them


def run(command: Study) -> int:
    """Runs the study and prints a summary of each data set."""
    from faultsim.study import run_study

    console = Console()
    config = StudyConfig(**{f.name: getattr(command, f.name) for f in fields(StudyConfig)})
    shown = _Parts(console)
    try:
        with shown:
            result = run_study(config, progress=shown.report)
    except KeyboardInterrupt:
        if shown.directory is not None:
            say_how_to_go_on(console, shown.directory)
        raise
    for name, parts in result.found.items():
        for part, found in parts.items():
            show_part(console, f"{name}: {part}", found)
    console.print("95 % intervals over trials; searched flips have none.")
    console.print(f"Study directory: {escape(str(result.directory))}", soft_wrap=True)
    return 0


class _Parts:
    """A line for each part as it begins, and the bar of the one at hand."""

    def __init__(self, console: Console) -> None:
        self.directory: str | None = None
        self._console = console
        self._part: tuple[str, str] | None = None
        self._bar: CampaignBar | None = None

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.__exit__()

    def report(self, step: Step) -> None:
        """Called by the study as it goes on."""
        raise_again()
        self.directory = str(step.directory)
        if self._bar is None or self._part != (step.data, step.part):
            self._bar = self._begin(step)
        if step.campaign is not None:
            self._bar.advance(step.campaign)
        elif step.setting is not None:
            self._bar.begin(*step.setting)

    def _begin(self, step: Step) -> CampaignBar:
        self.__exit__()
        self._part = (step.data, step.part)
        label = f"{step.done + 1}/{step.total} {step.data}: {step.part}"
        self._console.print(escape(label), highlight=False)
        return CampaignBar(self._console).__enter__()


def show_part(console: Console, title: str, found: CampaignResult | PerturbResult) -> None:
    """What a part of the study found; of rankings, the most harmful."""
    if isinstance(found, PerturbResult):
        show_perturbations(console, found.record)
        return
    if found.estimate is not None:
        console.print(escape(f"\n{title}: {found.estimate}"), soft_wrap=True)
        return
    cells = found.cells
    if {"layer", "bit"} & set(cells[0].cell):
        cells = sorted(cells, key=lambda cell: cell.accuracy.value)[:MOST_HARMFUL]
        title += f", the {len(cells)} most harmful of {len(found.cells)}"
    show_cells(console, f"\n{title}", cells, ("trials", "accuracy", "lowest", "sdc", "due"), {})
