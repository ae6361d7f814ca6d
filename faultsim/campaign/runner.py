"""Runs a campaign: golden run, trials, journal, summary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from faultsim.campaign.damaging import damaging
from faultsim.campaign.directory import fresh_directory
from faultsim.campaign.estimated import estimate_record
from faultsim.campaign.fit import known_fit
from faultsim.campaign.journal import Journal
from faultsim.campaign.lines import Line
from faultsim.campaign.manifest_writing import manifest_of
from faultsim.campaign.objective import Objective
from faultsim.campaign.observing import observing
from faultsim.campaign.progress import Progress
from faultsim.campaign.recording import recorded
from faultsim.campaign.result import CampaignResult
from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.campaign.summary import summarise
from faultsim.campaign.untouched import untouched
from faultsim.campaign.workers import (
    Handed,
    cluster_of,
    handed_over,
    make_executor,
    shared_out,
)
from faultsim.config import CampaignConfig
from faultsim.config.shard import shard_of
from faultsim.data.workload import ImageWorkload
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, shown
from faultsim.faultmodels import FaultModel, load_fault_model
from faultsim.faults import FaultSet
from faultsim.models.onnx import SUFFIX
from faultsim.progress import Report, Wanted, reporting
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.observations import TrialObserver
from faultsim.run.outcome import Outcome
from faultsim.schedule import SCHEDULES, Context, Learnt, Plan, inferences, sharded
from faultsim.schedule.estimate import counted
from faultsim.schedule.given import Given, given
from faultsim.space import FaultSpace
from faultsim.workload import Workload
from faultsim.workload.task import ranges_of
from faultsim.workload.workload import REPORTED

CHOSEN = "given"
"""Stands for the fault file in the record of a campaign whose trials were given."""


def run_campaign(
    config: CampaignConfig | None = None,
    work: Workload | None = None,
    *,
    model: nn.Module | None = None,
    data: Any = None,
    trials: Iterable[Given] | None = None,
    name: str | None = None,
    progress: Wanted = None,
) -> CampaignResult:
    """Runs a campaign, or goes on with one.

    Args:
        config: The settings; the defaults attack the embedded model.
        work: What is run, instead of the classifier that ``config`` names. Its model is put in
            eval mode on the device, and every bit of it is as before when this returns or raises.
        model: A live model instead of the one that ``config`` names; as in ``work``.
        data: Live data instead of those that ``config`` names: a ``Dataset``, a pair (images,
            labels), a torch ``Dataset`` or ``DataLoader`` of such pairs, or a mapping of splits.
        trials: Fault sets to try, instead of those that a mode chooses; each alone, or with the
            labels of its cell: ``({"layer": "head"}, faults)``.
        name: Of a live model, for its directory and reports; that of its class unless given.
        progress: Called after the golden run and after each trial; or True for a bar, False for
            none. Unless given, there is one in a notebook, and in a terminal.

    Raises:
        FaultSimError: In one line, what cannot be used or what went wrong.
    """
    config = CampaignConfig() if config is None else config
    if not isinstance(config, CampaignConfig):
        raise ConfigError(f"config must be a CampaignConfig, not {shown(config)}")
    if name is not None and model is None:
        raise ConfigError("name= is that of a live model=; a Workload has a name of its own")
    live = {"work": work, "model": model, "data": data, "trials": trials}
    if work is not None and (model is not None or data is not None):
        raise ConfigError("a workload has its own model and data: give either it or those")
    if work is not None and config.workload is not None:
        raise ConfigError("the settings name a workload, and one is given: leave one of them out")
    if config.shard is not None and config.out is None:  # a free name is one for several, too
        raise ConfigError("--shard needs --out, a directory that no other shard has")
    if trials is not None:
        config = replace(config, mode="from-file", faults=config.faults or CHOSEN)
    fault_model = load_fault_model(config.fault_model) if config.fault_model else None
    with untouched(), ExitStack() as stack:
        stack.enter_context(cluster_of(config))
        later = config.workers == "auto"
        config = shared_out(config)
        stack.enter_context(reproducibly(config.threads))
        workload = work or make_workload(config, model, data)
        given_names = [name for name, value in live.items() if value is not None]
        named = not {"work", "model", "data"} & {*given_names}
        handed = stack.enter_context(handed_over(config, workload, named=named, later=later))
        stack.enter_context(uncompiled(workload.model))
        experiment = make_experiment(config, workload)
        objects = _Live(given_names, name)
        report = stack.enter_context(reporting(progress, config.mode))
        return _campaign(config, experiment, objects, trials, report, fault_model, handed)


class _Live(NamedTuple):
    """What was given as objects: ``model``, ``data``, …; and what a model is to be called."""

    parts: list[str]
    name: str | None


def _campaign(
    config: CampaignConfig,
    experiment: Experiment,
    live: _Live,
    trials: Iterable[Given] | None,
    progress: Report,
    fault_model: FaultModel | None,
    handed: Handed,
) -> CampaignResult:
    space = make_space(config, experiment)
    plan = plan_of(config, experiment, space, trials, fault_model)
    golden = experiment.baseline()
    if plan.learnt is not None:
        counted(golden, config.rate)  # for its error
    clean = experiment.clean_baseline() if experiment.attack else None
    manifest = manifest_of(
        config,
        live.parts,
        experiment,
        space,
        golden,
        clean,
        plan.total,
        fault_model,
        plan.operators,
    )
    manifest |= {} if live.name is None else {"name": live.name}
    name = directory_name(config, experiment.workload, live.parts, live.name)
    directory = Path(config.out) if config.out else fresh_directory(name)
    observer = TrialObserver(experiment) if config.observe else None
    if observer is not None:
        manifest["observed"] = observer.samples
    with (
        Journal(directory, manifest, resume=config.resume) as journal,
        observing(journal, observer) as observe,
        closing(make_executor(config, experiment, golden, handed)) as executor,
    ):
        start = Progress(
            directory,
            golden,
            clean,
            experiment.replays("test"),
            space.skipped,
            0,
            plan.total,
            experiment.lost,
            objective=objective_of(config, experiment.workload, golden),
            resumed=len(journal.recorded),
        )
        progress(start)
        lines: list[Line] = []
        worst: dict[str, FaultSet] = {}
        for line, trial, outcome in recorded(plan, executor, journal, config.seed):
            lines.append(line)
            observe(line.trial, trial)
            if trial.reports and "curve" in trial.cell:
                worst[str(trial.cell["curve"])] = trial.faults
            so_far = start.after(
                done=len(lines),
                lost={**experiment.lost, **executor.lost},
                trial=trial,
                outcome=outcome,
                estimate=plan.learnt.rate.estimate if plan.learnt else None,
            )
            progress(so_far)
        executor.finish()
        experiment.check_intact()
        if plan.learnt is not None:
            found = _estimated(config, experiment, directory, golden, clean, plan.learnt)
            told = {"estimate": estimate_record(config, plan.learnt, found.parts)}
            journal.finish(_summary(found) | told | known_fit(manifest, lines, told))
            return found
        result = _result(config, experiment, directory, golden, clean, lines, worst)
        score, counts = golden.score(result.objective.key), result.objective.name
        harm = damaging(lines, score, experiment.workload.model, space.sites, counts)
        journal.finish(_summary(result) | {"damaging": harm} | known_fit(manifest, lines))
    return result


def plan_of(
    config: CampaignConfig,
    experiment: Experiment,
    space: FaultSpace,
    trials: Iterable[Given] | None,
    fault_model: FaultModel | None,
) -> Plan:
    """The trials of a campaign: those that were given, or else those that its mode chooses."""
    samples = experiment.golden(REPORTED).size
    model, search = experiment.workload.model, experiment.search
    if trials is not None:
        plan = given(trials, config.trials)
    else:
        context = Context(config, space, model, search, samples, fault_model=fault_model)
        plan = SCHEDULES[config.mode](context)
    of_samples = plan.learnt is not None  # they are drawn with the faults
    if config.granularity == "inference" and not of_samples:
        plan = inferences(plan, samples, config.seed)
    return plan if config.shard is None else sharded(plan, shard_of(config.shard))


def objective_of(config: CampaignConfig, workload: Workload, golden: Outcome) -> Objective:
    """The figure that counts; of trials of one sample, whether it is unharmed."""
    if config.granularity == "inference":
        return Objective("", workload.unit)
    return Objective(None if golden.of_images else workload.task.objective, workload.unit)


def _result(
    config: CampaignConfig,
    experiment: Experiment,
    directory: Path,
    golden: Outcome,
    clean: Outcome | None,
    lines: list[Line],
    worst: Mapping[str, FaultSet],
) -> CampaignResult:
    workload = experiment.workload
    objective = objective_of(config, workload, golden)
    cells = summarise(
        lines,
        sampled=config.mode != "exhaustive",
        attack_loss=clean.acc - golden.acc if clean else 0.0,
        objective=objective.name,
        ranges=ranges_of(workload.task),
    )
    flips = {
        curve: [str(fault) for fault in faults.describe(workload.model)]
        for curve, faults in worst.items()
        if curve.startswith("worst-case")
    }
    directions = workload.data.directions if isinstance(workload, ImageWorkload) else {}
    return CampaignResult(directory, golden, cells, flips, directions, clean, objective)


def _estimated(
    config: CampaignConfig,
    experiment: Experiment,
    directory: Path,
    golden: Outcome,
    clean: Outcome | None,
    learnt: Learnt,
) -> CampaignResult:
    workload, rate = experiment.workload, learnt.rate
    return CampaignResult(
        directory,
        golden,
        [],
        {},
        workload.data.directions if isinstance(workload, ImageWorkload) else {},
        clean,
        objective_of(config, workload, golden),
        rate.estimate,
        learnt.parts(),
        rate.reached,
    )


def _summary(result: CampaignResult) -> dict[str, Any]:
    return {
        "golden": result.golden.to_json(),
        "cells": [cell.to_json() for cell in result.cells],
        "worst": dict(result.worst),
        "directions": dict(result.directions),
        **({"clean": result.clean.to_json()} if result.clean else {}),
    }


def directory_name(
    config: CampaignConfig, workload: Workload, live: Sequence[str], name: str | None = None
) -> str:
    """Of a campaign's directory: its mode, and what was run, by the names it really has.

    Args:
        config: The settings.
        workload: What is run.
        live: What was given as an object.
        name: Of a live model, in place of its class's.
    """
    mode = "given" if "trials" in live else config.mode
    if "work" in live or config.workload is not None:
        return f"{mode}-{_plain(workload.name)}"
    named = Path(config.model).stem if config.model.endswith(SUFFIX) else config.model
    model = (name or type(workload.model).__name__) if "model" in live else named
    data = workload.name if "data" in live else Path(config.data).stem
    return f"{mode}-{_plain(model)}-{_plain(data)}"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name.replace(":", ".")).strip("-.") or "unnamed"
