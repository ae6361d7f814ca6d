"""How many workers run a campaign, and on what."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from faultsim.campaign.manifest import read_manifest
from faultsim.campaign.subject import make_experiment, make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import choose_device, reproducibly
from faultsim.errors import ExecutorError
from faultsim.executors import Executor, InProcess, LocalWorkers, Shared
from faultsim.executors.snapshot import Snapshot, opened
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Outcome


def shared_out(config: CampaignConfig) -> CampaignConfig:
    """The settings with a number of workers, and the threads of each.

    Threads belong to a campaign, workers do not: without ``threads``, one that is resumed keeps
    those that it was begun with, whatever the workers are by now.
    """
    threads = config.threads
    if config.resume and not threads:
        threads = read_manifest(Path(config.out or "")).settings.threads
    workers = config.workers
    if workers == "auto":
        workers = _as_many_as_fit(config.device, threads)
    if workers > 1 and not threads:
        threads = max(1, cores() // workers)
    return replace(config, workers=workers, threads=threads)


def _as_many_as_fit(device: str, threads: int) -> int:
    if choose_device(device).type == "cuda":
        return torch.cuda.device_count()
    return max(1, cores() // max(1, threads))


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Recipe:
    """Makes in a worker the experiment that its coordinator has.

    Attributes:
        config: The settings, with the threads of a worker.
        live: Path of a snapshot of the workload, where it was given as an object.
        digest: Of the model.
        golden: The golden run.
    """

    config: CampaignConfig
    live: str | None
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
        with reproducibly(self.config.threads):
            workload = opened(self.live) if self.live else make_workload(self.config)
            with uncompiled(workload.model):
                experiment = make_experiment(self.config, workload)
                self._check(experiment)
                yield experiment

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


def make_executor(
    config: CampaignConfig, experiment: Experiment, golden: Outcome, live: Snapshot | None
) -> Executor:
    """What runs the trials of a campaign.

    Args:
        config: The settings, with a number of workers.
        experiment: The coordinator's.
        golden: Its golden run.
        live: The workload, where it was given as an object and there are workers.
    """
    if config.workers == 1:
        return InProcess(experiment)
    assert isinstance(config.workers, int)
    path = None if live is None else live.path
    recipe = Recipe(
        replace(config, threads=torch.get_num_threads()), path, experiment.digest, golden
    )
    return Shared(LocalWorkers(recipe, config.workers))
