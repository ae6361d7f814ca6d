"""How many workers run a campaign, and on what."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from faultsim.campaign.manifest import check_begun, read_manifest
from faultsim.campaign.subject import make_experiment, make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import choose_device, reproducibly
from faultsim.errors import ConfigError, ExecutorError
from faultsim.executors import Executor, Growing, InProcess, LocalWorkers, RayActors, Shared
from faultsim.executors.ray_actors import Stored, cluster, room
from faultsim.executors.snapshot import Snapshot, opened
from faultsim.memory import available_bytes, resident_bytes
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.outcome import Outcome
from faultsim.workload import Workload

Live = Callable[[], Workload]


@dataclass(frozen=True)
class Handed:
    """How workers come by the workload.

    Attributes:
        named: Whether the settings name all of it, so that a worker can make it too.
        live: Gives it; None where it can only be made.
        later: Makes this anew, when workers are wanted after all; None where they begin at once.
    """

    named: bool
    live: Live | None = None
    later: Callable[[], Handed] | None = None


def shared_out(config: CampaignConfig) -> CampaignConfig:
    """The settings with a number of workers, and the threads of each.

    Threads belong to a campaign, workers do not: without ``threads``, one that is resumed keeps
    those that it was begun with, whatever the workers are by now.
    """
    threads = config.threads
    if config.resume and not threads:
        place = Path(config.out or "")
        check_begun(place)
        threads = read_manifest(place).settings.threads
    if config.executor == "ray" and not threads:
        threads = 1
    workers = config.workers
    if workers == "auto":
        workers = _as_many_as_fit(config, threads)
    if workers > 1 and not threads:
        threads = max(1, cores() // workers)
    return replace(config, workers=workers, threads=threads)


def _as_many_as_fit(config: CampaignConfig, threads: int) -> int:
    cuda = choose_device(config.device).type == "cuda"
    if config.executor == "ray":
        return room(threads, cuda=cuda)
    return torch.cuda.device_count() if cuda else max(1, cores() // max(1, threads))


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Recipe:
    """Makes in a worker the experiment that its coordinator has.

    Attributes:
        config: The settings, with the threads of a worker.
        handed: What workers are handed, if anything.
        digest: Of the model.
        golden: The golden run.
    """

    config: CampaignConfig
    handed: Handed
    digest: str
    golden: Outcome

    @contextmanager
    def __call__(self, number: int) -> Iterator[Experiment]:
        """The experiment of a worker.

        Raises:
            FaultSimError: It cannot be made, or is another than the coordinator's.
        """
        if choose_device(self.config.device).type == "cuda":
            torch.cuda.set_device(number % torch.cuda.device_count())
        with reproducibly(self.config.threads), ExitStack() as stack:
            yield self._experiment(stack)

    def _experiment(self, stack: ExitStack) -> Experiment:
        if self.handed.named and self.handed.live is not None:
            with suppress(Exception):  # whatever unpickling raises: there is another way
                return self._of(self.handed.live(), stack)
        make = partial(make_workload, self.config) if self.handed.named else self.handed.live
        assert make is not None
        return self._of(make(), stack)

    def _of(self, workload: Workload, stack: ExitStack) -> Experiment:
        stack.enter_context(uncompiled(workload.model))
        experiment = make_experiment(self.config, workload)
        self._check(experiment)
        return experiment

    def _check(self, experiment: Experiment) -> None:
        if experiment.digest != self.digest:
            raise ExecutorError(
                "the model that a worker made is another: its digest differs; a factory must make "
                "the same each time, or leave workers at 1"
            )
        if json.dumps(experiment.baseline().to_json()) != json.dumps(self.golden.to_json()):
            raise ExecutorError(
                "the golden run of a worker is another: data or forward must be the same each "
                "time, or leave workers at 1"
            )


def cluster_of(config: CampaignConfig) -> AbstractContextManager[None]:
    """A connection to the cluster that workers are in, if they are."""
    return cluster(config.address) if config.executor == "ray" else nullcontext()


@contextmanager
def handed_over(
    config: CampaignConfig, workload: Workload, *, named: bool, later: bool = False
) -> Iterator[Handed]:
    """What gives workers a workload.

    On one machine it is a copy in memory that they share, also of what has a name, if it can be
    had: a model that each made for itself would be in memory as often.

    Args:
        config: The settings, with a number of workers.
        workload: The coordinator's.
        named: Whether the settings name all of it.
        later: Whether nothing is copied until it is seen that trials take long.

    Raises:
        ConfigError: It is a live object, and cannot be handed over.
    """
    with ExitStack() as stack:
        if config.executor == "ray":
            yield Handed(named, None if named else Stored(workload))
        elif alone(config):
            yield Handed(named)
        elif later:
            yield Handed(named, later=partial(_copied, stack, workload, named=named))
        else:
            yield _copied(stack, workload, named=named)


def _copied(stack: ExitStack, workload: Workload, *, named: bool) -> Handed:
    with suppress(ConfigError) if named else nullcontext():
        snapshot = stack.enter_context(closing(Snapshot(workload)))
        return Handed(named, partial(opened, snapshot.path))
    return Handed(named)


def alone(config: CampaignConfig) -> bool:
    """Whether trials are run in this process."""
    return config.executor == "local" and config.workers == 1


def make_executor(
    config: CampaignConfig, experiment: Experiment, golden: Outcome, handed: Handed
) -> Executor:
    """What runs the trials of a campaign.

    Args:
        config: The settings, with a number of workers.
        experiment: The coordinator's.
        golden: Its golden run.
        handed: What workers are handed, if there are any.
    """
    if alone(config):
        return InProcess(experiment)
    if handed.later is not None:
        hire = partial(_hired, config, experiment, golden, handed.later)
        return Growing(InProcess(experiment), hire)
    return _workers(config, experiment, golden, handed)


def _hired(
    config: CampaignConfig, experiment: Experiment, golden: Outcome, later: Callable[[], Handed]
) -> Executor:
    """As many workers as the settings have, and as there is memory for: each may take our own.

    Raises:
        ExecutorError: There is none for several.
    """
    assert isinstance(config.workers, int)
    available, own = available_bytes(), resident_bytes()
    number = min(config.workers, available // own)
    if number < 2:
        raise ExecutorError(
            f"{available >> 20:,} MB of memory are free, and two may take {2 * own >> 20:,}"
        )
    return _workers(replace(config, workers=number), experiment, golden, later())


def _workers(
    config: CampaignConfig, experiment: Experiment, golden: Outcome, handed: Handed
) -> Executor:
    assert isinstance(config.workers, int)
    threads = torch.get_num_threads()
    recipe = Recipe(replace(config, threads=threads), handed, experiment.digest, golden)
    if config.executor == "ray":
        cuda = experiment.device.type == "cuda"
        return Shared(RayActors(recipe, config.workers, threads, cuda=cuda))
    return Shared(LocalWorkers(recipe, config.workers))
