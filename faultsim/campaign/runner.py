"""Runs a campaign: golden run, trials, journal, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from faultsim.campaign.damaging import damaging
from faultsim.campaign.directory import TRIALS, fresh_directory
from faultsim.campaign.journal import Journal
from faultsim.campaign.lines import Line
from faultsim.campaign.manifest import manifest_of
from faultsim.campaign.subject import make_bench, make_space
from faultsim.campaign.summary import CellSummary, summarise
from faultsim.config import CampaignConfig
from faultsim.data import Dataset
from faultsim.devices import reproducibly
from faultsim.errors import JournalError
from faultsim.faults import FaultSet
from faultsim.run.bench import Bench
from faultsim.run.trial import Outcome, Trial
from faultsim.schedule import SCHEDULES, Context, Trials


@dataclass(frozen=True)
class Progress:
    """What :func:`run_campaign` tells its caller after the golden run and after each trial.

    Attributes:
        directory: The campaign directory.
        golden: The golden run on the test split, of perturbed images where there are such.
        clean: The golden run on the images as they are, where others are perturbed.
        replays: Whether trials run only what their faults can reach.
        done: Trials finished.
        total: Trials planned; a search may end with fewer.
        trial: The trial just finished, None at the start.
        outcome: Its outcome.
    """

    directory: Path
    golden: Outcome
    clean: Outcome | None
    replays: bool
    done: int
    total: int
    trial: Trial | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class CampaignResult:
    """A finished campaign.

    Attributes:
        directory: Where its journal lies.
        golden: The golden run on the test split, of perturbed images where there are such.
        cells: Outcome rates of each condition.
        worst: For worst-case: each curve's faults, in the order committed, with values.
        directions: Of binary sets: what ``missed`` and ``false_alarms`` are, by names of classes.
        clean: Of campaigns that perturb images: the golden run on the images as they are.
    """

    directory: Path
    golden: Outcome
    cells: list[CellSummary]
    worst: Mapping[str, list[str]]
    directions: Mapping[str, str]
    clean: Outcome | None = None


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
    with reproducibly(config.threads):
        bench = make_bench(config, model, data)
        live = {"model": model, "data": data}
        given = [name for name, value in live.items() if value is not None]
        space = make_space(config, bench)
        plan = SCHEDULES[config.mode](Context(config, space, bench))
        golden = bench.golden_outcome("test")
        clean = bench.clean_outcome("test") if bench.attack else None
        manifest = manifest_of(config, given, bench, space, golden, clean, plan.total)
        directory = Path(config.out) if config.out else fresh_directory(_name(config))
        with Journal(directory, manifest, resume=config.resume) as journal:
            start = Progress(directory, golden, clean, bench.replays("test"), 0, plan.total)
            progress(start)
            lines: list[Line] = []
            worst: dict[str, FaultSet] = {}
            for line, trial in _run(plan.trials, bench, journal, config.seed):
                lines.append(line)
                if "search" not in trial.cell and "curve" in trial.cell:
                    worst[str(trial.cell["curve"])] = trial.faults
                progress(replace(start, done=len(lines), trial=trial, outcome=line.outcome))
            bench.check_intact()
            attack_loss = clean.acc - golden.acc if clean else 0.0
            sampled = config.mode != "exhaustive"
            cells = summarise(lines, sampled=sampled, attack_loss=attack_loss)
            flips = {
                curve: [str(fault) for fault in faults.describe(bench.model)]
                for curve, faults in worst.items()
                if curve.startswith("worst-case")
            }
            directions = bench.data.directions
            result = CampaignResult(directory, golden, cells, flips, directions, clean)
            harm = damaging(lines, golden.acc, bench.model, space.sites)
            journal.finish(_summary(result) | {"damaging": harm})
    return result


def _run(trials: Trials, bench: Bench, journal: Journal, seed: int) -> Iterator[tuple[Line, Trial]]:
    """Every trial with its journal line; those recorded already are not run again."""
    recorded = iter(journal.recorded)
    number, trial = 0, next(trials, None)
    while trial is not None:
        line = next(recorded, None) or journal.adopt(number, trial)
        if line is None:
            line = journal.append(trial_line(number, seed, trial, bench.run(trial)))
        elif not _is_record_of(line, trial):
            raise JournalError(
                f"trial {number} in {journal.directory} has other faults than this run chose; "
                "it was recorded on another platform or version: start another campaign"
            )
        yield line, trial
        number += 1
        try:
            trial = trials.send(line.outcome)
        except StopIteration:
            break
    if number < len(journal.recorded):
        raise JournalError(
            f"{journal.directory / TRIALS} has {len(journal.recorded)} trials, and the campaign "
            f"ends after {number}: the others are not its own"
        )


def trial_line(number: int, seed: int, trial: Trial, outcome: Outcome) -> dict[str, Any]:
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
    records = msgspec.to_builtins(line.faults)
    return line.cell == dict(trial.cell) and bool(records == trial.faults.records())


def _summary(result: CampaignResult) -> dict[str, Any]:
    return {
        "golden": result.golden.to_json(),
        "cells": [cell.to_json() for cell in result.cells],
        "worst": dict(result.worst),
        "directions": dict(result.directions),
        **({"clean": result.clean.to_json()} if result.clean else {}),
    }


def _name(config: CampaignConfig) -> str:
    """Of a campaign's directory."""
    model = config.model.replace(":", ".").replace("/", "-")
    return f"{config.mode}-{model}-{Path(config.data).stem.replace(':', '.')}"
