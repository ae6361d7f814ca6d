"""What a trial did to each image, against the golden run."""

from __future__ import annotations

from dataclasses import replace

import torch

from faultsim.formats import FORMATS
from faultsim.run.golden import Golden
from faultsim.run.trial import Outcome
from faultsim.workload import metrics


def judge(logits: torch.Tensor, golden: Golden, *, with_auc: bool = True) -> Outcome:
    """Classifies every image of a trial.

    Args:
        logits: (n, classes) under faults.
        golden: The golden run on the same images.
        with_auc: Off while searching: no decision rests on it, and it takes longer than the rest.
    """
    labels, several = golden.split.labels, golden.split.labels.ndim == 2
    word = FORMATS[logits.dtype].word
    same = (logits.view(word) == golden.logits.view(word)).all(dim=1)
    due = ~logits.isfinite().all(dim=1)
    was, now = metrics.predict(golden.logits, several), metrics.predict(logits, several)
    sdc = ~due & (was != now).any(dim=1)
    right = metrics.hits(logits, labels).all(dim=1)
    deviation = (logits.double() - golden.logits.double()).abs()
    finite = deviation[deviation.isfinite()]
    masked = same & ~due
    outcome = Outcome(
        n=len(logits),
        correct=int(right.sum()),
        due=int(due.sum()),
        sdc=int(sdc.sum()),
        benign=int((~due & ~sdc & ~same).sum()),
        masked=int(masked.sum()),
        loss=float(metrics.loss(logits.double(), labels)),
        max_dev=float(finite.max()) if len(finite) else 0.0,
        acc=metrics.accuracy(logits, labels),
        auc=metrics.auc(metrics.probabilities(logits.double(), several), labels)
        if with_auc
        else None,
    )
    if golden.positive is None:
        return outcome
    sensitivity, specificity = metrics.sensitivity_specificity(right, labels, golden.positive)
    return replace(
        outcome,
        sensitivity=sensitivity,
        specificity=specificity,
        missed=int((sdc & (was[:, 0] == golden.positive)).sum()),
        false_alarms=int((sdc & (now[:, 0] == golden.positive)).sum()),
    )
