"""The progress bar of campaigns and perturbations."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from faultsim.cli.pace import Pace

if TYPE_CHECKING:
    from faultsim.campaign import Progress

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[unit]}"),
    TimeElapsedColumn(),
    TextColumn("{task.fields[speed]}"),
    TextColumn("{task.fields[note]}"),
)


class CampaignBar:
    """A bar that goes away when the work is over; nothing where there is no terminal."""

    def __init__(self, console: Console, mode: str = "") -> None:
        """Not shown yet.

        Args:
            console: Where to.
            mode: Of the campaign.
        """
        quiet = not console.is_terminal
        self._bar = Bar(*COLUMNS, console=console, transient=True, disable=quiet)
        self._task = self._bar.add_task("golden run", total=None, unit="trials", note="", speed="")
        self._pace = Pace(mode)

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
        if self._pace.saw(progress):
            speed, note = _speed(self._pace, progress), _note(self._pace, progress)
            self._bar.update(self._task, speed=speed, note=escape(note))

    def begin(self, setting: str, done: int, total: int) -> None:
        """Shows the perturbation that is tried."""
        self._show(escape(setting), done, total, "settings")

    def _show(self, doing: str, done: int, total: int, unit: str) -> None:
        self._bar.update(self._task, description=doing, completed=done, total=total, unit=unit)


def _speed(pace: Pace, progress: Progress) -> str:
    left = pace.left(progress)
    if pace.rate is None or left is None:
        return ""
    return f"{pace.rate:.3g}/s, {timedelta(seconds=round(left))} left"


def _note(pace: Pace, progress: Progress) -> str:
    """What is known by now, or of searches what the last trial came to."""
    known, objective = pace.estimate(progress), progress.objective
    if known is not None:
        return str(known) if progress.estimate else f"SDC in {known} of trials"
    assert progress.outcome is not None
    value = objective.text(progress.outcome.score(objective.key), digits=1)
    return f"{objective.title} {value}"


def say_how_to_go_on(console: Console, directory: str | Path) -> None:
    """What to add to an interrupted command."""
    text = f"Interrupted. To go on, add --resume --out {escape(str(directory))}"
    with suppress(OSError):
        console.print(text, soft_wrap=True)
