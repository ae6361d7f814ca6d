"""Trials that a coordinator hands out, takes back and records, in a second of processor time.

    python -m benchmarks.coordinator --trials 5000 --workers 1000 --profile

The workers are fake and answer at once, so that what is measured is drawing faults, sharing out,
the journal and nothing else.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import nn

from faultsim import CampaignConfig, FaultSpace
from faultsim.campaign.journal import Journal
from faultsim.campaign.recording import recorded
from faultsim.executors.sharing import Report, Shared
from faultsim.run.trial import Outcome, Trial
from faultsim.schedule import SCHEDULES, Context

OUTCOME = Outcome(6, 0, 1, 2, 3, 0.5, metrics={"acc": 0.5, "loss": 1.0, "correct": 3, "auc": 0.5})


class Fakes:
    """Workers that have done everything as soon as they are asked."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._tasks: deque[tuple[int, int]] = deque()

    def give(self, worker: int, trials: Sequence[Trial]) -> None:
        self._tasks.append((worker, len(trials)))

    def wait(self) -> Iterable[tuple[int, Report]]:
        worker, trials = self._tasks.popleft()
        return [(worker, Report([OUTCOME] * trials))]

    def finish(self) -> None: ...

    def close(self) -> None: ...


def coordinate(trials: int, workers: int) -> float:
    """Trials a second of processor time."""
    model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(8)])
    config = CampaignConfig(mode="random", trials=trials, flips=(1,))
    plan = SCHEDULES["random"](Context(config, FaultSpace(model), model, lambda: None, 6))
    with (
        tempfile.TemporaryDirectory() as root,
        Journal(Path(root) / "a", {}, resume=False) as journal,
    ):
        begun = time.process_time()
        done = sum(1 for _ in recorded(plan, Shared(Fakes(workers)), journal, config.seed))
        return done / (time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    found = coordinate(options.trials, options.workers)
    print(f"{found:,.0f} trials a second of processor time")
    if options.profile:
        with cProfile.Profile() as profile:
            coordinate(options.trials, options.workers)
        pstats.Stats(profile).sort_stats("tottime").print_stats(22)


if __name__ == "__main__":
    main()
