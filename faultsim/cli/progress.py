"""The progress bar of campaigns and perturbations."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from faultsim.campaign import Progress

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[unit]}"),
    TimeElapsedColumn(),
    TextColumn("{task.fields[note]}"),
)


class CampaignBar:
    """A bar that goes away when the work is over."""

    def __init__(self, console: Console) -> None:
        self._bar = Bar(*COLUMNS, console=console, transient=True)
        self._task = self._bar.add_task("golden run", total=None, unit="trials", note="")

    def __enter__(self) -> CampaignBar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._bar.stop()

    def advance(self, progress: Progress) -> None:
        """Shows the trial that is over."""
        if progress.trial is None or progress.outcome is None:
            return
        doing = "injecting" if progress.trial.reports else "searching"
        self._show(doing, progress.done, progress.total, "trials")
        if progress.estimate is not None:
            self._bar.update(self._task, note=escape(str(progress.estimate)))
            return
        objective = progress.objective
        value = objective.text(progress.outcome.score(objective.key), digits=1)
        self._bar.update(self._task, note=escape(f"{objective.title} {value}"))

    def begin(self, setting: str, done: int, total: int) -> None:
        """Shows the perturbation that is tried."""
        self._show(escape(setting), done, total, "settings")

    def _show(self, doing: str, done: int, total: int, unit: str) -> None:
        self._bar.update(self._task, description=doing, completed=done, total=total, unit=unit)


def say_how_to_go_on(console: Console, directory: str | Path) -> None:
    """What to add to an interrupted command."""
    text = f"Interrupted. To go on, add --resume --out {escape(str(directory))}"
    with suppress(OSError):
        console.print(text, soft_wrap=True)
