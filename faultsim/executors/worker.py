"""A process that runs the trials it is sent, until its coordinator has no more or is gone."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection

from faultsim.errors import ExecutorError, FaultSimError
from faultsim.executors.sharing import Report
from faultsim.run.experiment import Experiment
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial

Recipe = Callable[[int], AbstractContextManager[Experiment]]
"""Makes the experiment of the worker of a number; it can be pickled."""


def serve(connection: Connection, recipe: Recipe, number: int) -> None:
    """Reports on each task; None is the last, and is answered with a check of the model.

    Args:
        connection: To the coordinator, who is told of every error and stops this process itself.
        recipe: Makes what trials are run on.
        number: Of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator
    tasks = _received(connection)
    try:
        with recipe(number) as experiment:
            for trials in tasks:
                connection.send(report(experiment, trials))
            experiment.check_intact()
        connection.send(Report([]))
    except Exception as error:
        connection.send(Report([], one_line(error)))


def _received(connection: Connection) -> Iterator[Sequence[Trial]]:
    """Tasks as they come; a thread reads them, so that the coordinator never waits for that."""
    waiting: queue.SimpleQueue[Sequence[Trial] | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                waiting.put(connection.recv())
        except (EOFError, OSError):
            os._exit(1)  # in the middle of a trial, too: nobody wants its outcome

    threading.Thread(target=read, daemon=True).start()
    return iter(waiting.get, None)


def report(experiment: Experiment, trials: Sequence[Trial]) -> Report:
    """What comes of trials, up to the one that fails."""
    outcomes: list[Outcome] = []
    error = None
    try:
        outcomes.extend(experiment.outcomes(trials))
    except Exception as cause:
        error = one_line(cause)
    return Report(outcomes, error, tuple(experiment.lost.items()))


def one_line(cause: Exception) -> FaultSimError:
    """An error that can be sent and says what happened."""
    if isinstance(cause, FaultSimError):
        return type(cause)(str(cause))
    return ExecutorError(f"a worker failed: {type(cause).__name__}: {cause}")
