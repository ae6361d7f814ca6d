"""What a campaign found: outcome rates of each cell, with intervals over trials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faultsim.campaign.lines import Line
from faultsim.run.trial import DIAGNOSIS
from faultsim.stats import Estimate, bootstrap_mean, image_rate, wilson

OUTCOMES = ("due", "sdc", "benign", "masked")
INTERPLAY = ("faults_alone", "excess")


@dataclass(frozen=True)
class CellSummary:
    """One condition of a campaign.

    Attributes:
        cell: Its labels.
        trials: Number of trials.
        rates: Share of images with each outcome.
        any_sdc: Share of trials with at least one silent data corruption.
        any_due: Share of trials with at least one detected error.
        accuracy: Mean over trials.
        lowest: The worst accuracy of a trial.
        diagnosis: Of binary sets: mean ``sensitivity`` and ``specificity`` over trials, where they
            are defined, and the share of images in each direction of silent corruption,
            ``missed`` and ``false_alarms``.
        interplay: Of campaigns that perturb images: mean accuracy of ``faults_alone``, on the
            images as they are, and ``excess``, by how much the loss of accuracy under both
            exceeds the sum of the losses under each.
    """

    cell: Mapping[str, Any]
    trials: int
    rates: Mapping[str, Estimate]
    any_sdc: Estimate
    any_due: Estimate
    accuracy: Estimate
    lowest: float
    diagnosis: Mapping[str, Estimate]
    interplay: Mapping[str, Estimate] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "cell": dict(self.cell),
            "trials": self.trials,
            "rates": {name: rate.to_json() for name, rate in self.rates.items()},
            "any_sdc": self.any_sdc.to_json(),
            "any_due": self.any_due.to_json(),
            "accuracy": self.accuracy.to_json(),
            "lowest": self.lowest,
            "diagnosis": {name: value.to_json() for name, value in self.diagnosis.items()},
            "interplay": {name: value.to_json() for name, value in self.interplay.items()},
        }


def summarise(
    lines: Iterable[Line], *, sampled: bool = True, attack_loss: float = 0.0
) -> list[CellSummary]:
    """The cells of a journal in the order they began; search trials are left out.

    Args:
        lines: Journal lines.
        sampled: False where all possible faults were tried: rates then carry no interval.
        attack_loss: Accuracy that the perturbation alone takes from the golden model.
    """
    cells: dict[str, list[Line]] = {}
    for line in lines:
        if not line.searching:
            cells.setdefault(json.dumps(line.cell), []).append(line)
    return [_summary(group, sampled, attack_loss) for group in cells.values()]


def _summary(outcomes: list[Line], sampled: bool, attack_loss: float) -> CellSummary:
    cell = outcomes[0].cell
    searched = str(cell.get("curve", "")).startswith("worst-case")
    images = [outcome.n for outcome in outcomes]
    count = len(outcomes)
    estimates = {
        name: image_rate([getattr(o, name) for o in outcomes], images) for name in OUTCOMES
    }
    estimates["any_sdc"] = wilson(sum(o.sdc > 0 for o in outcomes), count)
    estimates["any_due"] = wilson(sum(o.due > 0 for o in outcomes), count)
    estimates["accuracy"] = bootstrap_mean([o.acc for o in outcomes])
    estimates |= _diagnosis(outcomes) | _interplay(outcomes, attack_loss)
    if searched or not sampled:
        method = "searched" if searched else "exhaustive"
        estimates = {
            name: Estimate(e.value, None, None, e.n, method) for name, e in estimates.items()
        }
    return CellSummary(
        cell=cell,
        trials=count,
        rates={name: estimates[name] for name in OUTCOMES},
        any_sdc=estimates["any_sdc"],
        any_due=estimates["any_due"],
        accuracy=estimates["accuracy"],
        lowest=min(o.acc for o in outcomes),
        diagnosis={name: estimates[name] for name in DIAGNOSIS if name in estimates},
        interplay={name: estimates[name] for name in INTERPLAY if name in estimates},
    )


def _interplay(outcomes: list[Line], attack_loss: float) -> dict[str, Estimate]:
    """Of one trial, with C, F, P, J the accuracy clean, under faults, perturbed and under both,
    the excess is (C - J) - (C - F) - (C - P) = F - J - (C - P)."""
    alone = [o.clean_acc for o in outcomes if o.clean_acc is not None]
    if len(alone) < len(outcomes):
        return {}
    excess = [f - o.acc - attack_loss for f, o in zip(alone, outcomes, strict=True)]
    return {
        "faults_alone": bootstrap_mean(alone),
        "excess": bootstrap_mean(excess),
    }


def _diagnosis(outcomes: list[Line]) -> dict[str, Estimate]:
    """What is defined of it; whether an image set has a diseased one is the same in all trials."""
    images = [outcome.n for outcome in outcomes]
    found = {}
    for name in DIAGNOSIS:
        values = [getattr(outcome, name) for outcome in outcomes]
        if None not in values:
            counts = name in ("missed", "false_alarms")
            found[name] = image_rate(values, images) if counts else bootstrap_mean(values)
    return found
