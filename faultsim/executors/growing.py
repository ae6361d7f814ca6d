"""This process at first, and workers as soon as trials take long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from faultsim.errors import ExecutorError, FaultSimError
from faultsim.executors.executor import Executor
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial

WORKERS = "workers"
"""What may be lost, beside replay."""

PATIENCE = 60.0
"""Seconds of trials after which workers are worth the seconds that they take to begin: a campaign
that ends soon after is a tenth slower for them, one that goes on has its cores."""


class Growing:
    """Runs trials in this process, and those after a while in workers.

    How many workers is left to us, so that they cannot begin is no error: this process goes on.
    """

    def __init__(self, own: Executor, hire: Callable[[], Executor]) -> None:
        """Nothing is started yet.

        Args:
            own: Of this process.
            hire: Makes that of workers, once; a FaultSimError says why there can be none.
        """
        self._own, self._hire = own, hire
        self._workers: Executor | None = None
        self._since: float | None = None
        self._refused, self._began = "", False

    @property
    def lost(self) -> Mapping[str, str]:
        """Of both, and why there are no workers."""
        refused = {WORKERS: self._refused} if self._refused else {}
        return {**self._own.lost, **(self._workers.lost if self._workers else {}), **refused}

    def ahead(self, trial: Trial) -> int:
        """Of whatever runs trials now."""
        return (self._workers or self._own).ahead(trial)

    def submit(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        """To workers when it is time for them."""
        if trials and not self._workers and not self._refused:
            self._hire_in_time()
        if self._workers is None:
            return self._own.submit(trials)
        return self._outcomes(trials, self._workers.submit(trials))

    def _hire_in_time(self) -> None:
        self._since = time.monotonic() if self._since is None else self._since
        if time.monotonic() - self._since > PATIENCE:
            try:
                self._workers = self._hire()
            except FaultSimError as error:
                self._refused = str(error)

    def _outcomes(self, trials: Sequence[Trial], theirs: Iterator[Outcome]) -> Iterator[Outcome]:
        done = 0
        try:
            while not self._refused and done < len(trials):
                outcome = next(theirs)
                done, self._began = done + 1, True
                yield outcome
        except ExecutorError as error:
            if self._began:
                raise
            self._dismiss(str(error))
        yield from self._own.submit(trials[done:])

    def _dismiss(self, why: str) -> None:
        assert self._workers is not None
        self._workers.close()
        self._workers, self._refused = None, why

    def finish(self) -> None:
        """Errors as of ``Executor.finish``."""
        for each in filter(None, (self._own, self._workers)):
            each.finish()

    def close(self) -> None:
        """Stops both at once."""
        for each in filter(None, (self._own, self._workers)):
            each.close()
