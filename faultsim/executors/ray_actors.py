"""Workers that are actors of a Ray cluster: each keeps its model, data and golden values.

Ray is imported by whoever asks for it. An actor that is lost, with its node or alone, is replaced
where the cluster still has room for it; its trials are run again in any case.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from faultsim.errors import ConfigError
from faultsim.executors.sharing import Ended, Report
from faultsim.executors.worker import Recipe, one_line, report
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial

PATIENCE = 5.0
"""Seconds without a report after which it is seen whether all actors have room."""


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise ConfigError("--executor ray needs Ray: pip install 'faultsim[ray]'") from None


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A connection to a cluster meanwhile; one that the caller has is used and kept.

    Args:
        address: ``auto`` for the cluster of this machine, ``local`` for a new one on it, or
            ``host:port``; Ray looks for itself unless given.

    Raises:
        ConfigError: Ray is not installed, or there is no such cluster.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    at_end = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as cause:  # ConnectionError, ValueError, RuntimeError by what is wrong
        said = str(cause).partition("\n")[0]
        raise ConfigError(f"--executor ray finds no cluster at {address}: {said}") from None
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, at_end)  # Ray has one of its own
        yield
    finally:
        ray.shutdown()


def room(threads: int, *, cuda: bool) -> int:
    """Workers that the nodes of the cluster have room for, whoever else is at work there."""
    needs = {"CPU": max(1, threads), "GPU": 1 if cuda else 0}
    nodes = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
    fit = [[int(node.get(name, 0) // n) for name, n in needs.items() if n] for node in nodes]
    return sum(map(min, fit))


class Stored:
    """A live object in the cluster's memory, which each node has once."""

    def __init__(self, thing: Any) -> None:
        """Puts it there.

        Raises:
            ConfigError: It cannot be pickled.
        """
        try:
            self._reference = _ray().put(thing)
        except Exception as cause:  # whatever a __reduce__ of the user's raises
            said = str(cause).partition("\n")[0]
            raise ConfigError(
                f"Ray cannot be given the model, data or task that are live objects: {said}"
            ) from None

    def __call__(self) -> Any:
        """The object, in another process."""
        return _ray().get(self._reference)


class Actor:
    """An experiment in a process of the cluster."""

    def __init__(self, recipe: Recipe, number: int, folder: str) -> None:
        """Nothing is made yet, so that what goes wrong can be told.

        Args:
            recipe: Makes the experiment.
            number: Of the worker.
            folder: That relative names of files are seen from.
        """
        self._recipe, self._number = recipe, number
        self._stack = ExitStack()
        self._experiment: Experiment | None = None
        with suppress(OSError):
            os.chdir(folder)

    def run(self, trials: Sequence[Trial]) -> Report:
        """What comes of trials."""
        try:
            return report(self._made(), trials)
        except Exception as error:
            return Report([], one_line(error))

    def check(self) -> Report:
        """Whether the model is what it was."""
        try:
            self._made().check_intact()
            return Report([])
        except Exception as error:
            return Report([], one_line(error))

    def _made(self) -> Experiment:
        if self._experiment is None:
            self._experiment = self._stack.enter_context(self._recipe(self._number))
        return self._experiment


class RayActors:
    """Actors, each with an experiment of its own; one starts when there is work for it."""

    def __init__(self, recipe: Recipe, number: int, threads: int, *, cuda: bool) -> None:
        """Nothing is started yet; :func:`cluster` is open.

        Args:
            recipe: Makes the experiment of a worker.
            number: Of workers.
            threads: Of each, as many CPUs.
            cuda: Whether each needs a GPU.

        Raises:
            ConfigError: The cluster has no room for so many.
        """
        self.number = number
        self._ray, self._recipe, self._needs = _ray(), recipe, (max(1, threads), cuda)
        if (fit := room(threads, cuda=cuda)) < number:
            need = f"{max(1, threads)} CPU" + (" and a GPU" if cuda else "")
            raise ConfigError(
                f"the Ray cluster has room for {fit} workers of {need} each, not {number}"
            )
        kind = self._ray.remote(num_cpus=max(1, threads), num_gpus=int(cuda), max_restarts=0)
        self._kind = kind(Actor)
        self.actors: dict[int, Any] = {}
        self._running: dict[int, deque[Any]] = {}
        self._begun: set[int] = set()  # workers that have reported, so have their room

    def give(self, worker: int, trials: Sequence[Trial]) -> None:
        """Sends a task; that a worker is gone is noticed by :meth:`wait`."""
        if worker not in self.actors:
            self.actors[worker] = self._kind.remote(self._recipe, worker, os.getcwd())
        running = self._running.setdefault(worker, deque())
        running.append(self.actors[worker].run.remote(trials))

    def wait(self) -> Iterable[tuple[int, Report | Ended]]:
        """Reports of workers, and of those that ended, as soon as there is one."""
        first = {running[0]: worker for worker, running in self._running.items() if running}
        ready, _ = self._ray.wait([*first], num_returns=1, timeout=PATIENCE)
        for reference in ready:
            yield first[reference], self._read(first[reference])
        if not ready:
            yield from self._without_room()

    def _without_room(self) -> Iterator[tuple[int, Ended]]:
        """Gives up who would wait for room for ever, the last first.

        That a node is lost is known later than that its actors are, so that these were replaced.
        """
        threads, cuda = self._needs
        new = [worker for worker in self.actors if worker not in self._begun]
        for worker in new[::-1][: max(0, len(self.actors) - room(threads, cuda=cuda))]:
            self._drop(worker)
            yield worker, Ended("for want of room", replaced=False)

    def _read(self, worker: int) -> Report | Ended:
        try:
            said: Report = self._ray.get(self._running[worker].popleft())
            self._begun.add(worker)
            return said
        except self._ray.exceptions.RayError as error:
            self._drop(worker)
            threads, cuda = self._needs
            again = room(threads, cuda=cuda) > len(self.actors)
            return Ended(f"with {type(error).__name__}", replaced=again)

    def _drop(self, worker: int) -> None:
        """Ends an actor, and forgets what it was given."""
        self._running[worker].clear()
        self._begun.discard(worker)
        self._ray.kill(self.actors.pop(worker))

    def finish(self) -> None:
        """Raises what a worker finds when it checks its model for the last time."""
        for actor in self.actors.values():
            with suppress(self._ray.exceptions.RayError):  # one that is gone has no model any more
                said = self._ray.get(actor.check.remote())
                if said.error is not None:
                    raise said.error

    def close(self) -> None:
        """Kills the actors, which have nothing to save."""
        for actor in self.actors.values():
            self._ray.kill(actor)
        self.actors.clear()
        self._running.clear()
