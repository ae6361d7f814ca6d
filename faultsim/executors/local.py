"""Workers that are processes of this machine.

They come from a fork server: a process that has imported torch and never computed. So a worker
starts in milliseconds and shares the pages of the libraries, and yet none is forked from a process
with threads, a CUDA context, or the lock of a journal, all of which a fork would break or keep.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import NamedTuple

from faultsim.errors import ExecutorError
from faultsim.executors.sharing import Ended, Report
from faultsim.executors.worker import Recipe, serve
from faultsim.run.trial import Trial

PRELOADED = serve.__module__
HEAVY = (
    "numpy", "scipy.stats", "sklearn.datasets", "torch._dynamo", "torchvision", "torchmetrics",
    "torchao", "timm", "transformers", "onnx2torch",
)  # fmt: skip
"""Libraries that take long to import, and much memory unless it is shared."""

UNBEGUN = (
    " before they began: what they said is above; a script that asks for several workers needs "
    'if __name__ == "__main__" around it, since each of them imports the script'
)
PAUSES = (0.02, 0.2, 2.0)  # seconds after which a worker that failed to start is tried again
GRACE = 10  # seconds that a process whose connection broke may take to be gone


class Process(NamedTuple):
    """A worker, and the way to it."""

    process: ForkServerProcess
    connection: Connection


class LocalWorkers:
    """Processes, each with an experiment of its own; one starts when there is work for it."""

    def __init__(self, recipe: Recipe, number: int) -> None:
        """Nothing is started yet.

        Args:
            recipe: Makes the experiment of a worker.
            number: Of workers.
        """
        self.number, self._recipe = number, recipe
        self._context = get_context("forkserver")
        self._all: dict[int, Process] = {}
        self._began = False

    def give(self, worker: int, trials: Sequence[Trial]) -> None:
        """Sends a task; that a worker is gone is noticed by :meth:`wait`."""
        if worker not in self._all:
            self._all[worker] = self._start(worker)
        with suppress(OSError):
            self._all[worker].connection.send(trials)

    def wait(self) -> Iterable[tuple[int, Report | Ended]]:
        """Reports of workers, and of those that ended, as soon as there is one."""
        workers = {each.connection: number for number, each in self._all.items()}
        for ready in wait([*workers]):
            assert isinstance(ready, Connection)
            yield workers[ready], self._read(workers[ready])

    def _read(self, worker: int) -> Report | Ended:
        process, connection = self._all[worker]
        try:
            report = connection.recv()
            assert isinstance(report, Report)
            self._began = True
            return report
        except (EOFError, OSError):
            connection.close()
            process.join(GRACE)
            del self._all[worker]
            return Ended(_how(process.exitcode) + ("" if self._began else UNBEGUN))

    def _start(self, number: int) -> Process:
        """A worker; where the fork server was killed just then, of a new one.

        The old one refuses connections before the system has put it away, and until then no new
        one starts.

        Raises:
            ExecutorError: None starts.
        """
        for pause in PAUSES:
            with suppress(EOFError, OSError):
                return self._started(number)
            time.sleep(pause)
        try:
            return self._started(number)
        except (EOFError, OSError) as error:
            raise ExecutorError(f"no worker can be started: {error}") from None

    def _started(self, number: int) -> Process:
        ours, theirs = self._context.Pipe()
        name = f"faultsim-worker-{number}"
        process = self._context.Process(
            target=serve, args=(theirs, self._recipe, number), name=name
        )
        with uninterrupted():
            self._context.set_forkserver_preload(
                [PRELOADED, type(self._recipe).__module__, *_heavy()]
            )
            process.start()
        theirs.close()
        return Process(process, ours)

    def finish(self) -> None:
        """Raises what a worker finds when it checks its model for the last time."""
        for worker in self._all:
            with suppress(OSError):  # one that is gone has no model any more
                self._all[worker].connection.send(None)
        for worker in [*self._all]:
            said = self._read(worker)
            if isinstance(said, Report) and said.error is not None:
                raise said.error

    def close(self) -> None:
        """Kills the processes, which have nothing to save."""
        for process, connection in self._all.values():
            process.kill()
            process.join()
            connection.close()
        self._all.clear()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keeps Ctrl-C back meanwhile, and from processes that start meanwhile for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heavy() -> list[str]:
    """Those that this process has needed by now, so that its workers will."""
    return [name for name in HEAVY if name in sys.modules]


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"with exit code {code}"
