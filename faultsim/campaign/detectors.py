"""A detector of one's own, scored on the faults of a campaign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from faultsim.campaign.protecting import SEARCHES
from faultsim.campaign.runner import plan_of
from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, FaultSimError
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
"""``(output, batch)`` to (size,) bool: which samples it takes for corrupted."""


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
    """

    sdc: Estimate | None
    due: Estimate | None
    harmless: Estimate | None
    golden: Estimate
    trials: int


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
    count, together = 0, next(plan.trials, None)
    while together is not None:
        for trial in together:
            for name, share in _shares(experiment, trial, detector).items():
                shares[name].append(share)
        count += len(together)
        together = next(plan.trials, None)
    means = {name: bounded_mean(found) if found else None for name, found in shares.items()}
    golden = experiment.golden(REPORTED)
    alarms = _asked(detector, golden, golden.outputs)
    return DetectorScore(
        **means, golden=clopper_pearson(int(alarms.sum()), len(alarms)), trials=count
    )


def _shares(experiment: Experiment, trial: Trial, detector: Detector) -> dict[str, float]:
    """Of each kind of sample that there is in a trial, the share that the detector objects to."""
    golden, outputs = experiment.outputs(trial)
    due, sdc = judge_samples(experiment.workload.task, golden, outputs)
    alarms = _asked(detector, golden, outputs)
    sizes = [batch.size for batch in golden.batches]
    raised = np.repeat([isinstance(output, Raised) for output in outputs], sizes)
    kinds = {"sdc": sdc, "due": due & ~torch.from_numpy(raised), "harmless": ~(due | sdc)}
    return {name: float(alarms[of].double().mean()) for name, of in kinds.items() if of.any()}


def _asked(detector: Detector, golden: Golden, outputs: Any) -> torch.Tensor:
    pairs = zip(outputs, golden.batches, strict=True)
    return torch.cat([_answer(detector, output, batch) for output, batch in pairs])


def _answer(detector: Detector, output: Any, batch: Batch) -> torch.Tensor:
    if isinstance(output, Raised):
        return torch.zeros(batch.size, dtype=torch.bool)
    try:
        found = torch.as_tensor(detector(output, batch)).cpu()
    except FaultSimError:
        raise
    except Exception as error:
        raise ConfigError(f"the detector fails: {cause(error)}") from error
    if found.dtype != torch.bool or found.shape != (batch.size,):
        raise ConfigError(
            f"a detector must say true or false of each of {batch.size} samples, not "
            f"{tuple(found.shape)} {str(found.dtype).removeprefix('torch.')}"
        )
    return found
