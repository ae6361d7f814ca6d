"""Which protection pays: the same faults with and without each, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from faultsim.campaign.comparison import Change, changes_of
from faultsim.campaign.layer_cost import bytes_held, in_turn
from faultsim.campaign.protections_record import Cost, Paid, held_for, record_of
from faultsim.campaign.runner import objective_of, plan_of
from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError
from faultsim.faultmodels import load_fault_model
from faultsim.files import write_json
from faultsim.protections import Protected, protect
from faultsim.protections.protected import Named, protections_of
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Cell, Outcome, Trial
from faultsim.schedule import Plan
from faultsim.space import FaultSpace
from faultsim.stats import Estimate, bounded_mean
from faultsim.workload import Workload
from faultsim.workload.workload import REPORTED

SEARCHES = ("worst-case", "estimate")

OWN = 200
"""Trials at most in the words that a protection added."""

OF_CAMPAIGNS = {"resume": False, "workers": 1, "shard": None, "observe": False}
"""Settings of a campaign that a comparison has no use for, and what they are unless given."""


def compare_protections(
    config: CampaignConfig,
    protections: Sequence[Named | Sequence[Named]],
    work: Workload | None = None,
    *,
    model: nn.Module | None = None,
    data: Any = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Paid]:
    """Tries the same faults without and with each protection.

    Faults are drawn as a campaign of the settings draws them, from the bits of the bare model (with
    what ``config.protect`` names); each strikes the same word in every protected model.

    Args:
        config: The settings; of a mode that draws its trials beforehand. In ``out``, where given,
            a record is written at the end, whole.
        protections: Each by name, several together by commas, or as objects.
        work: As for ``run_campaign``, as are ``model`` and ``data``.
        model: A live model.
        data: Live data.
        progress: Called with the number of trials done, and that of all.

    Raises:
        FaultSimError: As ``run_campaign``; a mode that searches.
    """
    _check(config, protections)
    names = [_said(each) for each in protections]
    live = objects_given(work=work, model=model, data=data)
    keeping = held_for(Path(config.out)) if config.out else nullcontext()
    with reproducibly(config.threads), keeping as path:
        workload = work or make_workload(config, model, data)
        with uncompiled(workload.model):
            bare = make_experiment(config, workload)
            safe = {
                name: protected(config, bare, each)
                for name, each in zip(names, protections, strict=True)
            }
            trials, found = _compared(config, bare, safe, progress)
            if path is not None:
                write_json(path, record_of(config, bare, live, trials, found))
            return found


def _check(config: CampaignConfig, protections: Sequence[Named | Sequence[Named]]) -> None:
    """Raises ConfigError for what could be known to be of no use before anything is loaded."""
    if config.mode in SEARCHES:
        raise ConfigError(
            f"--mode {config.mode} chooses faults by what they do, so none are the same for two "
            "models: use random, layer-wise, bit-wise, exhaustive or from-file"
        )
    for name, usual in OF_CAMPAIGNS.items():
        if getattr(config, name) != usual:
            raise ConfigError(f"--{name} is of campaigns: a comparison of protections has none")
    if not protections or not all(protections_of([each]) for each in protections):
        raise ConfigError("no protection was named")
    names = [_said(each) for each in protections]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the protection {name} is named twice")


def objects_given(**given: Any) -> list[str]:
    """What was given as an object rather than by name."""
    return [name for name, value in given.items() if value is not None]


def _said(given: Any) -> str:
    if isinstance(given, (list, tuple)):
        return ",".join(map(_said, given))
    return given if isinstance(given, str) else str(given.name)


def protected(
    config: CampaignConfig, bare: Experiment, given: Named | Sequence[Named]
) -> Experiment:
    """The experiment of a protected model, beside that of the bare one."""
    workload = protect(bare.workload, given, batches=bare.batches(REPORTED))
    return make_experiment(replace(config, protect=None), workload)


def _compared(
    config: CampaignConfig,
    bare: Experiment,
    safe: Mapping[str, Experiment],
    progress: Callable[[int, int], None],
) -> tuple[int, list[Paid]]:
    space = make_space(config, bare)
    fault_model = load_fault_model(config.fault_model) if config.fault_model else None
    plan = plan_of(config, bare, space, None, fault_model)
    told: dict[str, list[tuple[Cell, Outcome, Outcome]]] = {name: [] for name in safe}
    done = 0
    for trials, outcomes in _outcomes(plan, bare):
        for name, experiment in safe.items():
            after = experiment.outcomes([moved(experiment, trial) for trial in trials])
            told[name] += zip((t.cell for t in trials), outcomes, after, strict=True)
        done += len(trials)
        progress(done, plan.total)
    return done, [
        Paid(
            name,
            list(_changes(told[name], sampled=config.mode != "exhaustive")),
            cost_of(config, bare, experiment),
            *_own(config, bare, experiment, len(told[name])),
        )
        for name, experiment in safe.items()
    ]


def _outcomes(plan: Plan, bare: Experiment) -> Iterator[tuple[Sequence[Trial], list[Outcome]]]:
    trials, together = plan.trials, next(plan.trials, None)
    while together is not None:
        outcomes = list(bare.outcomes(together))
        yield together, outcomes
        try:
            together = trials.send(outcomes)
        except StopIteration:
            return


def moved(experiment: Experiment, trial: Trial) -> Trial:
    """A trial of the bare model, on a protected one."""
    around = experiment.workload.around
    assert isinstance(around, Protected)
    return replace(trial, faults=around.moved(trial.faults))


def _changes(told: Sequence[tuple[Cell, Outcome, Outcome]], *, sampled: bool) -> Iterator[Change]:
    cells: dict[str, list[tuple[Cell, Outcome, Outcome]]] = {}
    for each in told:
        cells.setdefault(str(dict(each[0])), []).append(each)
    for group in cells.values():
        pair = [one for _, one, _ in group], [other for _, _, other in group]
        yield from changes_of(group[0][0], *pair, sampled=sampled)


def cost_of(config: CampaignConfig, bare: Experiment, safe: Experiment) -> Cost:
    """What the protections of an experiment cost, beside the bare one."""
    works, inputs = (bare.workload, safe.workload), bare.first_inputs()
    with torch.no_grad():
        runs = [partial(work.run, inputs) for work in works]
        ratios = [other / one for one, other in in_turn(runs[0], runs[1], bare.device)]
    sizes = [bytes_held(work.model) for work in works]
    of_runs = replace(config, granularity="dataset")
    key = objective_of(of_runs, bare.workload, bare.baseline()).key
    scores = [each.baseline().score(key) for each in (bare, safe)]
    golden = scores[1] - scores[0]
    return Cost(median(ratios), min(ratios), max(ratios), sizes[1] / sizes[0], golden)


def _own(
    config: CampaignConfig, bare: Experiment, safe: Experiment, trials: int
) -> tuple[Estimate | None, int]:
    """What faults in the words do that the protection added, and how many bits these have."""
    around = safe.workload.around
    assert isinstance(around, Protected)
    model = safe.workload.model
    known = {around.place(site.name) for site in FaultSpace(bare.workload.model).sites}
    added = [site.name for site in FaultSpace(model).sites if site.name not in known]
    if not added:
        return None, 0
    space = FaultSpace(model, include=added)
    runs = [Trial(space.sample(1, seed=config.seed, trial=n), {}) for n in range(min(trials, OWN))]
    failed = [(o.sdc + o.due) / o.n for o in safe.outcomes(runs)]
    return bounded_mean(failed), len(space)
