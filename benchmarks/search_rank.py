"""Where the first flip of a worst-case search stands among all flips of a layer.

    python -m benchmarks.search_rank LAYER [LAYER ...]

Every bit of each layer of the embedded model is flipped alone, on the validation samples that the
search looks at; flips whose outputs are not finite, which the search refuses, count as harmless.
Adds the layers to ``benchmarks/results/search_rank.json``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.faults import FaultSet
from faultsim.run.experiment import Experiment
from faultsim.run.outcome import Outcome
from faultsim.run.search import Search
from faultsim.run.trial import Trial
from faultsim.schedule import SCHEDULES, Context
from faultsim.space import FaultSpace

RESULTS = Path(__file__).parent / "results" / "search_rank.json"
SAMPLES = 60
TOP = 0.001
NONE = (1.0, 0.0)
"""As harmful as no flip at all."""


def harm(search: Search, outcome: Outcome) -> tuple[float, float]:
    """Sorts the most harmful first, as the search does: the objective, ties by loss."""
    return NONE if outcome.due else (outcome.score(search.objective), -outcome.loss)


def truth(experiment: Experiment, search: Search, space: FaultSpace) -> list[tuple[float, float]]:
    """The harm of every bit."""
    singles = (space.locate([position]) for position in range(len(space)))
    return [harm(search, experiment.run(Trial(one, {}, "val"))) for one in singles]


def first_flip(experiment: Experiment, context: Context) -> Iterator[FaultSet]:
    """What the search reports of one flip, for each of its curves."""
    trials = SCHEDULES["worst-case"](context).trials
    batch = next(trials)
    while True:
        yield from (trial.faults for trial in batch if trial.reports)
        try:
            batch = trials.send([experiment.run(trial) for trial in batch])
        except StopIteration:
            return


def measure(layer: str) -> dict[str, Any]:
    """The place of the flip that the search finds first."""
    config = CampaignConfig(include=(layer,), flips=(1,), trials=1, limit=SAMPLES)
    experiment = make_experiment(config, make_workload(config))
    space, search = make_space(config, experiment), experiment.search()
    context = Context(config, space, experiment.workload.model, lambda: search, SAMPLES)
    faults = next(first_flip(experiment, context))
    found = harm(search, experiment.run(Trial(faults, {}, "val")))
    start = time.perf_counter()
    every = truth(experiment, search, space)
    better = sum(one < found for one in every)
    best = min(every)
    return {
        "layer": layer,
        "bits": len(every),
        "samples": SAMPLES,
        "rank": better + 1,
        "share": (better + 1) / len(every),
        "found": {"accuracy": found[0], "loss": -found[1], "fault": str(faults[0])},
        "best": {"accuracy": best[0], "loss": -best[1]},
        "seconds": round(time.perf_counter() - start),
    }


def main(layers: list[str]) -> None:
    torch.set_num_threads(1)
    for layer in layers:
        row = measure(layer)
        print(json.dumps(row), flush=True)
        rows = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
        rows = sorted([*(r for r in rows if r["layer"] != layer), row], key=lambda r: r["layer"])
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
