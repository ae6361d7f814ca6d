"""Which protection pays: the same faults with and without each, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import nn

from faultsim.campaign.comparison import Change, changes_of
from faultsim.campaign.runner import objective_of, plan_of
from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError
from faultsim.faultmodels import load_fault_model
from faultsim.protections import Protected, protect
from faultsim.protections.protected import Named
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Cell, Outcome, Trial
from faultsim.schedule import Plan
from faultsim.space import FaultSpace
from faultsim.stats import Estimate, bounded_mean
from faultsim.workload import Workload
from faultsim.workload.workload import REPORTED

ROUNDS = 9
"""Passes of each that are timed, in turn."""

SEARCHES = ("worst-case", "estimate")


@dataclass(frozen=True)
class Cost:
    """What a protection costs, as shares of the bare model.

    Attributes:
        time: Processor time of a pass, the median of :data:`ROUNDS` ratios of passes side by side.
            Of ECC it is the simulator's own: real memories decode in hardware.
        fastest: The least of these ratios.
        slowest: The greatest.
        memory: Bytes of parameters and buffers.
        golden: By how much the figure that counts is another without any fault.
    """

    time: float
    fastest: float
    slowest: float
    memory: float
    golden: float


@dataclass(frozen=True)
class Paid:
    """One protection, or several together.

    Attributes:
        name: Of it.
        changes: Each rate in each condition, on the same faults: bare first, protected second.
        cost: What it costs.
        own: The share of samples that fail (SDC or DUE) where as many faults strike the words that
            it added, alone; None where it added none that weights' faults could strike.
        bits: That it added to those that can be struck.
    """

    name: str
    changes: Sequence[Change]
    cost: Cost
    own: Estimate | None
    bits: int


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
        config: The settings; of a mode that draws its trials beforehand.
        protections: Each by name, several together by commas, or as objects.
        work: As for ``run_campaign``, as are ``model`` and ``data``.
        model: A live model.
        data: Live data.
        progress: Called with the number of trials done, and that of all.

    Raises:
        FaultSimError: As ``run_campaign``; a mode that searches.
    """
    if config.mode in SEARCHES:
        raise ConfigError(
            f"--mode {config.mode} chooses faults by what they do, so none are the same for two "
            "models: use random, layer-wise, bit-wise, exhaustive or from-file"
        )
    if not protections:
        raise ConfigError("no protection was named")
    with reproducibly(config.threads):
        workload = work or make_workload(config, model, data)
        with uncompiled(workload.model):
            bare = make_experiment(config, workload)
            safe = {_said(each): _protected(config, bare, each) for each in protections}
            return _compared(config, bare, safe, progress)


def _said(given: Any) -> str:
    if isinstance(given, (list, tuple)):
        return ",".join(map(_said, given))
    return given if isinstance(given, str) else str(given.name)


def _protected(
    config: CampaignConfig, bare: Experiment, given: Named | Sequence[Named]
) -> Experiment:
    workload = protect(bare.workload, given, batches=bare.batches(REPORTED))
    return make_experiment(replace(config, protect=None), workload)


def _compared(
    config: CampaignConfig,
    bare: Experiment,
    safe: Mapping[str, Experiment],
    progress: Callable[[int, int], None],
) -> list[Paid]:
    space = make_space(config, bare)
    fault_model = load_fault_model(config.fault_model) if config.fault_model else None
    plan = plan_of(config, bare, space, None, fault_model)
    told: dict[str, list[tuple[Cell, Outcome, Outcome]]] = {name: [] for name in safe}
    for done, (trials, outcomes) in enumerate(_outcomes(plan, bare), 1):
        for name, experiment in safe.items():
            protected = experiment.outcomes([_moved(experiment, trial) for trial in trials])
            told[name] += zip((t.cell for t in trials), outcomes, protected, strict=True)
        progress(done * len(trials), plan.total)
    return [
        Paid(
            name,
            list(_changes(told[name], sampled=config.mode != "exhaustive")),
            _cost(config, bare, experiment),
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


def _moved(experiment: Experiment, trial: Trial) -> Trial:
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


def _cost(config: CampaignConfig, bare: Experiment, safe: Experiment) -> Cost:
    works, inputs = (bare.workload, safe.workload), bare.first_inputs()
    ratios = []
    with torch.no_grad():
        for _ in range(ROUNDS):
            one, other = (_seconds(work, inputs, bare.device) for work in works)
            ratios.append(other / one)
    sizes = [_bytes(work.model) for work in works]
    of_runs = replace(config, granularity="dataset")
    key = objective_of(of_runs, bare.workload, bare.baseline()).key
    scores = [each.baseline().score(key) for each in (bare, safe)]
    golden = scores[1] - scores[0]
    return Cost(median(ratios), min(ratios), max(ratios), sizes[1] / sizes[0], golden)


def _seconds(work: Workload, inputs: Any, device: torch.device) -> float:
    """Of a pass: of all threads of the process, or on a device until it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    start = clock()
    work.run(inputs)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def _bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


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
    runs = [Trial(space.sample(1, seed=config.seed, trial=n), {}) for n in range(trials)]
    failed = [(o.sdc + o.due) / o.n for o in safe.outcomes(runs)]
    return bounded_mean(failed), len(space)
