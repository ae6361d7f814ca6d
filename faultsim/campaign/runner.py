"""Runs a campaign: golden run, trials, journal, summary."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import faultsim
from faultsim.bench import Bench
from faultsim.campaign.damaging import damaging
from faultsim.campaign.journal import Journal
from faultsim.campaign.summary import CellSummary, summarise
from faultsim.config import CampaignConfig
from faultsim.data import Dataset, load_data
from faultsim.data.dataset import SPLITS
from faultsim.devices import choose_device, use_threads
from faultsim.errors import JournalError
from faultsim.faults import FaultSet
from faultsim.models import load_model
from faultsim.schedule import SCHEDULES, Context, Trials
from faultsim.space import TARGETS, FaultSpace
from faultsim.trial import Outcome, Trial

RUNS = Path("runs")
Line = dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """What :func:`run_campaign` tells its caller after the golden run and after each trial.

    Attributes:
        directory: The campaign directory.
        golden: The golden run on the test split.
        done: Trials finished.
        total: Trials planned; a search may end with fewer.
        trial: The trial just finished, None at the start.
        outcome: Its outcome.
    """

    directory: Path
    golden: Outcome
    done: int
    total: int
    trial: Trial | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class CampaignResult:
    """A finished campaign.

    Attributes:
        directory: Where its journal lies.
        golden: The golden run on the test split.
        cells: Outcome rates of each condition.
        worst: For worst-case: each curve's faults, in the order committed, with values.
        directions: Of binary sets: what ``missed`` and ``false_alarms`` are, by names of classes.
    """

    directory: Path
    golden: Outcome
    cells: list[CellSummary]
    worst: Mapping[str, list[str]]
    directions: Mapping[str, str]


def run_campaign(
    config: CampaignConfig | None = None,
    *,
    model: nn.Module | None = None,
    data: Dataset | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> CampaignResult:
    """Runs a campaign, or goes on with one.

    Args:
        config: The settings; the defaults attack the embedded model.
        model: A live model instead of the one that ``config`` names. It is put in eval mode on
            the device, and every bit of it is as before when this returns or raises.
        data: A live data set instead of the one that ``config`` names.
        progress: Called after the golden run and after each trial.

    Raises:
        FaultSimError: In one line, what cannot be used or what went wrong.
    """
    config = config or CampaignConfig()
    with use_threads(config.threads):
        bench = make_bench(config, model, data)
        live = {"model": model, "data": data}
        given = [name for name, value in live.items() if value is not None]
        space = make_space(config, bench)
        plan = SCHEDULES[config.mode](Context(config, space, bench))
        golden = bench.golden_outcome("test")
        manifest = _manifest(config, given, bench, space, golden)
        directory = Path(config.out) if config.out else _fresh_directory(config)
        with Journal(directory, manifest, resume=config.resume) as journal:
            progress(Progress(directory, golden, 0, plan.total))
            lines: list[Line] = []
            worst: dict[str, FaultSet] = {}
            for line, trial in _run(plan.trials, bench, journal, config.seed):
                lines.append(line)
                if "search" not in trial.cell and "curve" in trial.cell:
                    worst[str(trial.cell["curve"])] = trial.faults
                outcome = Outcome.from_json(line)
                progress(Progress(directory, golden, len(lines), plan.total, trial, outcome))
            bench.check_intact()
            cells = summarise(lines, sampled=config.mode != "exhaustive")
            flips = {
                curve: [str(fault) for fault in faults.describe(bench.model)]
                for curve, faults in worst.items()
                if curve.startswith("worst-case")
            }
            result = CampaignResult(directory, golden, cells, flips, bench.data.directions)
            harm = damaging(lines, golden.acc, bench.model, space.sites)
            journal.finish(_summary(result) | {"damaging": harm})
    return result


def make_space(config: CampaignConfig, bench: Bench) -> FaultSpace:
    """The fault space of a campaign; a fault file may name any site of the model."""
    everything = config.mode == "from-file"
    targets = TARGETS if everything else (config.target,)
    return FaultSpace(
        bench.model,
        targets,
        "all" if everything else config.bits,
        config.include or None,
        config.exclude or None,
        inputs=bench.first_batch() if targets != ("weights",) else None,
    )


def _run(trials: Trials, bench: Bench, journal: Journal, seed: int) -> Iterator[tuple[Line, Trial]]:
    """Every trial with its journal line; those recorded already are not run again."""
    recorded = iter(journal.recorded)
    number, trial = 0, next(trials, None)
    while trial is not None:
        line = next(recorded, None)
        if line is None:
            line = trial_line(number, seed, trial, bench.run(trial))
            journal.append(line)
        elif not _is_record_of(line, trial):
            raise JournalError(
                f"trial {number} in {journal.directory} has other faults than this run chose; "
                "it was recorded on another platform or version: start another campaign"
            )
        yield line, trial
        number += 1
        try:
            trial = trials.send(Outcome.from_json(line))
        except StopIteration:
            return


def trial_line(number: int, seed: int, trial: Trial, outcome: Outcome) -> Line:
    """A journal line: no times, hosts or paths, so that equal campaigns give equal bytes."""
    faults = trial.faults
    return {
        "trial": number,
        "cell": dict(trial.cell),
        "seed": seed,
        "flips": faults.flips,
        "faults": faults.records(),
        **outcome.to_json(),
    }


def _is_record_of(line: Line, trial: Trial) -> bool:
    return bool(line["cell"] == dict(trial.cell) and line["faults"] == trial.faults.records())


def make_bench(
    config: CampaignConfig, model: nn.Module | None = None, data: Dataset | None = None
) -> Bench:
    """The model and data of a campaign, on its device.

    Raises:
        ConfigError: One of them cannot be loaded, or there is no such device.
    """
    device = choose_device(config.device)
    data = data if data is not None else load_data(config.data, config.data_root, config.size)
    if model is None:
        model = load_model(
            config.model,
            num_classes=data.num_classes,
            in_channels=data.in_channels,
            checkpoint=config.checkpoint,
            data=data.name,
        )
    return Bench(model, data, batch_size=config.batch_size, limit=config.limit, device=device)


def _manifest(
    config: CampaignConfig, live: list[str], bench: Bench, space: FaultSpace, golden: Outcome
) -> dict[str, Any]:
    settings = asdict(config)
    settings |= {"threads": torch.get_num_threads(), "device": bench.device.type}
    for transient in ("out", "resume"):
        del settings[transient]
    return {
        "config": settings,
        "live": live,
        "model": {"digest": bench.digest},
        "data": {
            "name": bench.data.name,
            "digest": bench.data.digest,
            "task": bench.data.task,
            "positive": bench.golden("test").positive,
            "images": {split: len(bench.data.split(split)) for split in SPLITS},
        },
        "space": {
            "tensors": len(space.sites),
            "bits": len(space),
            "skipped": space.skipped,
            "sites": {site.name: site.dtype for site in space.sites},  # in the model's order
        },
        "golden": golden.to_json(),
        "versions": {
            "faultsim": faultsim.__version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
    }


def _summary(result: CampaignResult) -> dict[str, Any]:
    return {
        "golden": result.golden.to_json(),
        "cells": [cell.to_json() for cell in result.cells],
        "worst": dict(result.worst),
        "directions": dict(result.directions),
    }


def _fresh_directory(config: CampaignConfig) -> Path:
    """The first directory under runs/ that is not there yet."""
    model = config.model.replace(":", ".").replace("/", "-")
    name = f"{config.mode}-{model}-{Path(config.data).stem.replace(':', '.')}"
    numbered = (RUNS / f"{name}-{number}" for number in count(1))
    return next(path for path in numbered if not path.exists())
