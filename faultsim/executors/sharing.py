"""Trials shared out to workers, whatever these are: threads of a test, processes, actors."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from faultsim.errors import ExecutorError, FaultSimError
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial

AHEAD = 16
"""Trials for each worker that are known before outcomes of others are asked for."""

DEPTH = 2
"""Tasks that a worker has at a time, so that it need not wait for the next."""

FULL = 512
"""Trials of a task at most, where they share passes: as many as fill some."""

LIVES = 3
"""Workers that may end at a trial before it is held to be the reason."""


@dataclass(frozen=True)
class Report:
    """What came of a task.

    Attributes:
        outcomes: Of its trials, in their order, up to the one that failed.
        error: Why that one failed.
        lost: What could have been faster, and why it is not.
    """

    outcomes: Sequence[Outcome]
    error: FaultSimError | None = None
    lost: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Ended:
    """A worker is no more, and with it all that it was given.

    Attributes:
        how: For a message: ``killed by signal 9``.
        replaced: Whether there is room for another in its place.
    """

    how: str
    replaced: bool = True


class Workers(Protocol):
    """So many workers, each of which runs tasks one after another."""

    number: int

    def give(self, worker: int, trials: Sequence[Trial]) -> None:
        """Hands a task to a worker, which starts if there is none."""

    def wait(self) -> Iterable[tuple[int, Report | Ended]]:
        """What workers have to say, as soon as one does."""

    def finish(self) -> None:
        """Lets workers check their models and go; errors as of ``Executor.finish``."""

    def close(self) -> None:
        """Stops them at once."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A trial that was submitted, and what became of it."""

    trial: Trial
    outcome: Outcome | None = None
    error: FaultSimError | None = None
    deaths: int = 0


class Shared:
    """An executor over workers. A worker that ends is replaced, and its trials run again."""

    def __init__(self, workers: Workers) -> None:
        self.lost: dict[str, str] = {}
        self._workers = workers
        self._waiting: deque[Ticket] = deque()
        self._left = {*range(workers.number)}
        self._given: list[deque[list[Ticket]]] = [deque() for _ in range(workers.number)]
        self._holding = [dict.fromkeys(range(workers.number)), *({} for _ in range(DEPTH))]

    def ahead(self, trial: Trial) -> int:
        """As many as keep each worker busy until its next task."""
        return (FULL if trial.shares_a_pass else AHEAD) * self._workers.number

    def submit(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        """Takes trials; workers that have nothing to do begin at once."""
        tickets = [Ticket(trial) for trial in trials]
        self._waiting.extend(tickets)
        self._share()
        return self._outcomes(tickets)

    def _outcomes(self, tickets: Sequence[Ticket]) -> Iterator[Outcome]:
        for ticket in tickets:
            while ticket.outcome is None:
                if ticket.error is not None:
                    raise ticket.error
                self._collect()
            yield ticket.outcome

    def _share(self) -> None:
        """Hands out what is waiting, to those first that have nothing to do."""
        while self._waiting and (free := next(filter(None, self._holding[:DEPTH]), None)):
            size, worker = self._size(len(free)), next(iter(free))
            self._hold(worker, [self._waiting.popleft() for _ in range(size)])

    def _size(self, free: int) -> int:
        """Large tasks while much is waiting, small ones towards the end.

        A pass that trials share is to be filled: they go to so many workers in equal parts.
        """
        waiting = len(self._waiting)
        if self._waiting[0].trial.shares_a_pass:
            return math.ceil(waiting / (free * math.ceil(waiting / (free * FULL))))
        return max(1, waiting // (DEPTH * self._workers.number))

    def _hold(self, worker: int, task: list[Ticket]) -> None:
        self._move(worker, +1)
        self._given[worker].append(task)
        self._workers.give(worker, [ticket.trial for ticket in task])

    def _move(self, worker: int, tasks: int) -> None:
        """Keeps account of how many tasks a worker has, as so many are added to them."""
        has = len(self._given[worker])
        self._holding[has].pop(worker, None)
        self._holding[has + tasks][worker] = None

    def _collect(self) -> None:
        for worker, said in self._workers.wait():
            if isinstance(said, Ended):
                self._again(worker, said)
            else:
                self._done(worker, said)
        self._share()

    def _done(self, worker: int, report: Report) -> None:
        self._move(worker, -1)
        task = self._given[worker].popleft()
        for ticket, outcome in zip(task, report.outcomes, strict=False):
            ticket.outcome = outcome
        if report.error is not None:
            task[len(report.outcomes)].error = report.error
        self.lost.update(report.lost)

    def _again(self, worker: int, ended: Ended) -> None:
        """Puts what a worker had back to the front of what is waiting."""
        tasks = [*self._given[worker]]
        self._move(worker, -len(tasks))
        self._given[worker].clear()
        if not ended.replaced:
            self._retire(worker, ended)
        for ticket in tasks[0] if tasks else ():
            ticket.deaths += 1
            if ticket.deaths == LIVES:
                ticket.error = ExecutorError(f"{LIVES} workers ended at one trial, {ended.how}")
        left = [t for task in tasks for t in task if t.error is None]
        self._waiting.extendleft(reversed(left))

    def _retire(self, worker: int, ended: Ended) -> None:
        """Gives a worker nothing more; the others do its work."""
        self._holding[0].pop(worker, None)
        self._left.discard(worker)
        if not self._left:
            raise ExecutorError(f"no worker is left; the last ended {ended.how}")

    def finish(self) -> None:
        """Lets the workers check their models; errors as of ``Executor.finish``."""
        self._workers.finish()

    def close(self) -> None:
        """Stops the workers at once."""
        self._workers.close()
