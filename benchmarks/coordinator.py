"""Trials that a coordinator hands out, takes back and records, in a second of processor time.

    python -m benchmarks.coordinator --trials 20000 --workers 1000 --profile

A real campaign, whose workers are fake and answer at once: what is measured is drawing faults,
sharing out, the messages to and from processes (pickled and unpickled, but sent nowhere), the
journal, and whom it tells of its progress; from the first trial to the last.
"""

from __future__ import annotations

import argparse
import cProfile
import pickle
import pstats
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign import Progress
from faultsim.executors.sharing import Report, Shared
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial

OUTCOME = Outcome(6, 0, 1, 2, 3, 0.5, metrics={"acc": 0.5, "loss": 1.0, "correct": 3, "auc": 0.5})
MAKES = "faultsim.campaign.runner.make_executor"


class Fakes:
    """Workers that have done everything as soon as they are asked."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._tasks: deque[tuple[int, bytes]] = deque()
        self._reports: dict[int, bytes] = {}

    def give(self, worker: int, trials: Sequence[Trial]) -> None:
        ForkingPickler.dumps(trials)
        self._tasks.append((worker, self._report(len(trials))))

    def _report(self, trials: int) -> bytes:
        if trials not in self._reports:  # made by a worker, whose time is not the coordinator's
            outcomes = [replace(OUTCOME, metrics={**OUTCOME.metrics}) for _ in range(trials)]
            self._reports[trials] = bytes(ForkingPickler.dumps(Report(outcomes)))
        return self._reports[trials]

    def wait(self) -> Iterable[tuple[int, Report]]:
        worker, report = self._tasks.popleft()
        return [(worker, pickle.loads(report))]

    def finish(self) -> None: ...

    def close(self) -> None: ...


def coordinate(trials: int, workers: int) -> float:
    """Trials a second of processor time."""
    torch.manual_seed(0)
    layers = [nn.Linear(64, 64) for _ in range(8)]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 3)).eval()
    images, labels = torch.rand(6, 1, 8, 8), torch.arange(6) % 3
    times = []

    def told(progress: Progress) -> None:
        if progress.done in (0, trials):
            times.append(time.process_time())

    with tempfile.TemporaryDirectory() as root:
        out = str(Path(root) / "out")
        config = CampaignConfig(mode="random", trials=trials, flips=(1,), threads=1, out=out)
        with mock.patch(MAKES, return_value=Shared(Fakes(workers))):
            run_campaign(config, model=model, data=(images, labels), progress=told)
    begun, ended = times
    return trials / (ended - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    found = [coordinate(options.trials, options.workers) for _ in range(options.rounds)]
    print(f"{statistics.median(found):,.0f} trials a second of processor time, "
          f"median of {options.rounds} rounds; {min(found):,.0f} to {max(found):,.0f}")  # fmt: skip
    if options.profile:
        with cProfile.Profile() as profile:
            coordinate(options.trials, options.workers)
        pstats.Stats(profile).sort_stats("tottime").print_stats(22)


if __name__ == "__main__":
    main()
