"""A detector of one's own, scored on the faults of a campaign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from faultsim.campaign.layer_cost import in_turn
from faultsim.campaign.protecting import SEARCHES
from faultsim.campaign.runner import plan_of
from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, FaultSimError, shown
from faultsim.faultmodels import load_fault_model
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.golden import Golden
from faultsim.run.judge import Raised, judge_samples
from faultsim.run.trial import Trial
from faultsim.stats import Estimate, bounded_mean, clopper_pearson
from faultsim.workload import Batch, Workload
from faultsim.workload.failures import cause
from faultsim.workload.workload import REPORTED

Detector = Callable[[Any, Batch], Any]
"""``(output, batch)`` to (size,) bool: which samples it takes for corrupted; or (size, steps), at
which steps of each."""


@dataclass(frozen=True)
class DetectorScore:
    """How well a detector does. The unit is the trial, whose samples are not independent.

    Attributes:
        sdc: Of trials with silent corruptions, the mean share of these that it detected; None where
            there was none.
        due: The same of detected errors: what it would have said of an output that is not finite.
            A pass that raised needs no detector, and does not count.
        harmless: Of trials with other samples, the mean share of these that it took for corrupted.
        golden: The share of samples without any fault that it took for corrupted.
        trials: How many there were.
        time: Of asking it, as a share of a pass of the model: the median of passes side by side.
        latency: Of a detector that answers step by step: how many steps after the fault it first
            said so, in the mean over silent corruptions that it detected; None of others, or where
            it detected none. What it said before the fault's step is no detection.
    """

    sdc: Estimate | None
    due: Estimate | None
    harmless: Estimate | None
    golden: Estimate
    trials: int
    time: float
    latency: Estimate | None = None


def score_detector(
    config: CampaignConfig,
    detector: Detector,
    work: Workload | None = None,
    *,
    model: nn.Module | None = None,
    data: Any = None,
) -> DetectorScore:
    """Runs the trials of a campaign, and asks a detector about every sample.

    Args:
        config: The settings; of a mode that draws its trials beforehand, on all samples.
        detector: Called with the output of each batch, on the CPU, and the batch.
        work: As for ``run_campaign``, as are ``model`` and ``data``.
        model: A live model.
        data: Live data.

    Raises:
        FaultSimError: As ``run_campaign``; a detector that fails, or not an answer a sample.
    """
    if config.mode in SEARCHES or config.granularity != "dataset":
        raise ConfigError("a detector is scored on trials of all samples that are no search")
    with reproducibly(config.threads):
        workload = work or make_workload(config, model, data)
        with uncompiled(workload.model):
            return _scored(config, make_experiment(config, workload), detector)


def _scored(config: CampaignConfig, experiment: Experiment, detector: Detector) -> DetectorScore:
    fault_model = load_fault_model(config.fault_model) if config.fault_model else None
    plan = plan_of(config, experiment, make_space(config, experiment), None, fault_model)
    shares: dict[str, list[float]] = {"sdc": [], "due": [], "harmless": []}
    waits: list[tuple[float, int]] = []
    count, together = 0, next(plan.trials, None)
    while together is not None:
        for trial in together:
            found, wait = _shares(experiment, trial, detector)
            for name, share in found.items():
                shares[name].append(share)
            waits += [] if wait is None else [wait]
        count += len(together)
        together = next(plan.trials, None)
    means = {name: bounded_mean(found) if found else None for name, found in shares.items()}
    golden = experiment.golden(REPORTED)
    alarms = _asked(detector, golden, golden.outputs).any(1)
    return DetectorScore(
        **means,
        golden=clopper_pearson(int(alarms.sum()), len(alarms)),
        trials=count,
        time=_time(experiment, golden, detector),
        latency=_latency(waits),
    )


def _time(experiment: Experiment, golden: Golden, detector: Detector) -> float:
    work, batch = experiment.workload, golden.batches[0]
    inputs = batch.to(experiment.device).inputs
    with torch.no_grad():
        pairs = in_turn(
            partial(work.run, inputs),
            partial(_answer, detector, golden.outputs[0], batch),
            experiment.device,
        )
    return median(other / one for one, other in pairs)


def _latency(waits: Sequence[tuple[float, int]]) -> Estimate | None:
    """The mean number of steps, none of which is more than there are."""
    if not waits:
        return None
    return bounded_mean([wait for wait, _ in waits], 0, max(1, *(most for _, most in waits)))


def _shares(
    experiment: Experiment, trial: Trial, detector: Detector
) -> tuple[dict[str, float], tuple[float, int] | None]:
    """Of each kind of sample that there is in a trial, the share that the detector objects to.

    And the mean number of steps until it does so of silent corruptions, with the most it could be.
    """
    golden, outputs = experiment.outputs(trial)
    due, sdc = judge_samples(experiment.workload.task, golden, outputs)
    said = _asked(detector, golden, outputs)
    begun = min((fault.step or 0 for fault in trial.faults), default=0)
    begun = begun if said.shape[1] > 1 else 0
    alarms, seen = said.any(1), said[:, begun:]
    sizes = [batch.size for batch in golden.batches]
    raised = np.repeat([isinstance(output, Raised) for output in outputs], sizes)
    kinds = {"sdc": sdc, "due": due & ~torch.from_numpy(raised), "harmless": ~(due | sdc)}
    heard = {"sdc": seen.any(1), "due": seen.any(1), "harmless": alarms}
    found = {name: float(heard[name][of].double().mean()) for name, of in kinds.items() if of.any()}
    hit = sdc & seen.any(1)
    if said.shape[1] == 1 or not hit.any():
        return found, None
    return found, (float(seen[hit].int().argmax(1).double().mean()), said.shape[1] - 1)


def _asked(detector: Detector, golden: Golden, outputs: Any) -> torch.Tensor:
    """(samples, steps) bool; a pass that raised, and so answers nothing, has said nothing."""
    pairs = zip(outputs, golden.batches, strict=True)
    answers = [_answer(detector, output, batch) for output, batch in pairs]
    steps = max(answer.shape[1] for answer in answers)
    return torch.cat([nn.functional.pad(each, (0, steps - each.shape[1])) for each in answers])


def _answer(detector: Detector, output: Any, batch: Batch) -> torch.Tensor:
    if isinstance(output, Raised):
        return torch.zeros(batch.size, 1, dtype=torch.bool)
    try:
        said = detector(output, batch)
    except FaultSimError:
        raise
    except Exception as error:
        raise ConfigError(f"the detector fails: {cause(error)}") from error
    found = _tensor(said)
    fits = found is not None and found.dtype == torch.bool and found.ndim in (1, 2)
    if found is None or not fits or len(found) != batch.size or not found.shape[-1]:
        raise ConfigError(
            f"a detector must say true or false of each of {batch.size} samples, or steps of them, "
            f"not {_shown(said, found)}"
        )
    return found if found.ndim == 2 else found[:, None]


def _tensor(said: Any) -> torch.Tensor | None:
    try:
        return torch.as_tensor(said).cpu()
    except (TypeError, ValueError, RuntimeError):
        return None


def _shown(said: Any, found: torch.Tensor | None) -> str:
    if found is None:
        return shown(said)
    return f"{tuple(found.shape)} {str(found.dtype).removeprefix('torch.')}"
