"""Progress of campaigns, in a terminal and in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from html import escape as escape_html
from typing import TYPE_CHECKING, Any, NamedTuple

from faultsim.errors import ConfigError, shown
from faultsim.pace import Pace

if TYPE_CHECKING:
    from rich.console import Console

    from faultsim.campaign import Progress

Report = Callable[["Progress"], None]
Wanted = Report | bool | None
"""What a caller asks for: to be told himself; a bar or none; None for one where a person looks."""


class Step(NamedTuple):
    """What a bar shows of a trial that is over; empty texts where nothing is new."""

    doing: str
    done: int
    total: int
    speed: str = ""
    note: str = ""


def step_of(progress: Progress, pace: Pace) -> Step | None:
    """Of a trial; None before the first."""
    if progress.trial is None or progress.outcome is None:
        return None
    doing = "injecting" if progress.trial.reports else "searching"
    step = Step(doing, progress.done, progress.total)
    if not pace.saw(progress):
        return step
    return step._replace(speed=_speed(pace, progress), note=_note(pace, progress))


def _speed(pace: Pace, progress: Progress) -> str:
    left, speed = pace.left(progress), "" if pace.rate is None else f"{pace.rate:.3g}/s"
    return speed if left is None else f"{speed}, {timedelta(seconds=round(left))} left"


def _note(pace: Pace, progress: Progress) -> str:
    """What is known by now, or of searches what the last trial came to."""
    known, objective = pace.estimate(progress), progress.objective
    if known is not None:
        return str(known) if progress.estimate else f"SDC in {known} of trials"
    assert progress.outcome is not None
    value = objective.text(progress.outcome.score(objective.key), digits=1)
    return f"{objective.title} {value}"


@contextmanager
def reporting(wanted: Wanted, mode: str = "") -> Iterator[Report]:
    """Whom a campaign tells of its progress.

    Args:
        wanted: A function; True for a bar on the screen, False for none. None for one in a notebook
            or where standard error is a terminal.
        mode: Of the campaign.

    Raises:
        ConfigError: It is something else.
    """
    if callable(wanted):
        yield wanted
    elif wanted not in (None, True, False):
        raise ConfigError(f"progress is a function, True, False or None, not {shown(wanted)}")
    elif wanted or (wanted is None and (in_notebook() or sys.stderr.isatty())):
        with NotebookBar(mode) if in_notebook() else CampaignBar(mode=mode) as bar:
            yield bar.advance
    else:
        yield lambda progress: None


def in_notebook() -> bool:
    """Whether the process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class CampaignBar:
    """A bar in a terminal that goes away when the work is over; nothing where there is none."""

    def __init__(self, console: Console | None = None, mode: str = "") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[note]}"),
        )
        console = console or Console(stderr=True)
        quiet = not console.is_terminal
        self._bar = Bar(*columns, console=console, transient=True, disable=quiet)
        self._task = self._bar.add_task("golden run", total=None, unit="trials", speed="", note="")
        self._pace = Pace(mode)

    def __enter__(self) -> CampaignBar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._bar.stop()

    def advance(self, progress: Progress) -> None:
        """Shows the trial that is over."""
        step = step_of(progress, self._pace)
        if step is not None:
            self._show(step, "trials")

    def begin(self, setting: str, done: int, total: int) -> None:
        """Shows the perturbation that is tried."""
        self._show(Step(setting, done, total), "settings")

    def _show(self, step: Step, unit: str) -> None:
        from rich.markup import escape

        self._bar.update(
            self._task,
            description=escape(step.doing),
            completed=step.done,
            total=step.total,
            unit=unit,
        )
        if step.note:
            self._bar.update(self._task, speed=step.speed, note=escape(step.note))


class NotebookBar:
    """A bar below the cell of a notebook; it needs nothing but IPython, and goes away."""

    def __init__(self, mode: str = "") -> None:
        from IPython import display

        notebook: Any = display
        self._html: Callable[[str], Any] = notebook.HTML
        self._place: Any = notebook.display(self._html("golden run"), display_id=True)
        self._pace = Pace(mode)

    def __enter__(self) -> NotebookBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._place.update(self._html(""))

    def advance(self, progress: Progress) -> None:
        """Shows the trial that is over, twice a second."""
        step = step_of(progress, self._pace)
        if step is None or not step.note:
            return
        told = escape_html(", ".join(text for text in (step.speed, step.note) if text))
        bar = f'<progress value="{step.done}" max="{step.total}"></progress>'
        counts = f"{step.done:,} of {step.total:,} trials, {told}"
        self._place.update(self._html(f"{escape_html(step.doing)} {bar} {counts}"))
