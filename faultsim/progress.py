"""Progress of campaigns, in a terminal and in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape as escape_html
from typing import TYPE_CHECKING, Any, NamedTuple

from faultsim.errors import ConfigError, shown

if TYPE_CHECKING:
    from rich.console import Console

    from faultsim.campaign import Progress

Report = Callable[["Progress"], None]
Wanted = Report | bool | None
"""What a caller asks for: to be told himself; a bar or none; None for one where a person looks."""

OFTEN = 0.2  # seconds between two pictures in a notebook


class Step(NamedTuple):
    """What a bar shows of a trial that is over."""

    doing: str
    done: int
    total: int
    note: str


def step_of(progress: Progress) -> Step | None:
    """Of a trial; None before the first."""
    if progress.trial is None or progress.outcome is None:
        return None
    doing = "injecting" if progress.trial.reports else "searching"
    objective = progress.objective
    value = objective.text(progress.outcome.score(objective.key), digits=1)
    note = f"{objective.title} {value}" if progress.estimate is None else str(progress.estimate)
    return Step(doing, progress.done, progress.total, note)


@contextmanager
def reporting(wanted: Wanted) -> Iterator[Report]:
    """Whom a campaign tells of its progress.

    Args:
        wanted: A function; True for a bar on the screen, False for none. None for one in a notebook
            or where standard error is a terminal.

    Raises:
        ConfigError: It is something else.
    """
    if callable(wanted):
        yield wanted
    elif wanted not in (None, True, False):
        raise ConfigError(f"progress is a function, True, False or None, not {shown(wanted)}")
    elif wanted or (wanted is None and (in_notebook() or sys.stderr.isatty())):
        with NotebookBar() if in_notebook() else CampaignBar() as bar:
            yield bar.advance
    else:
        yield lambda progress: None


def in_notebook() -> bool:
    """Whether the process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class CampaignBar:
    """A bar in a terminal that goes away when the work is over."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bar = Bar(*columns, console=console or Console(stderr=True), transient=True)
        self._task = self._bar.add_task("golden run", total=None, unit="trials", note="")

    def __enter__(self) -> CampaignBar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, progress: Progress) -> None:
        """Shows the trial that is over."""
        step = step_of(progress)
        if step is not None:
            self._show(step, "trials")

    def begin(self, setting: str, done: int, total: int) -> None:
        """Shows the perturbation that is tried."""
        self._show(Step(setting, done, total, ""), "settings")

    def _show(self, step: Step, unit: str) -> None:
        from rich.markup import escape

        self._bar.update(
            self._task,
            description=escape(step.doing),
            completed=step.done,
            total=step.total,
            unit=unit,
            note=escape(step.note),
        )


class NotebookBar:
    """A bar below the cell of a notebook; it needs nothing but IPython, and goes away."""

    def __init__(self) -> None:
        from IPython import display

        notebook: Any = display
        self._html: Callable[[str], Any] = notebook.HTML
        self._place: Any = notebook.display(self._html("golden run"), display_id=True)
        self._next = 0.0

    def __enter__(self) -> NotebookBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._place.update(self._html(""))

    def advance(self, progress: Progress) -> None:
        """Shows the trial that is over, a few times a second."""
        step, now = step_of(progress), time.monotonic()
        if step is None or now < self._next:
            return
        self._next = now + OFTEN
        doing, note = escape_html(step.doing), escape_html(step.note)
        self._place.update(
            self._html(
                f'{doing} <progress value="{step.done}" max="{step.total}"></progress> '
                f"{step.done:,} of {step.total:,} trials, {note}"
            )
        )
