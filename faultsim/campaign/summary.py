"""What a campaign found: outcome rates of each cell, with intervals over trials."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faultsim.campaign.lines import Line
from faultsim.run.trial import DIAGNOSIS, DIRECTIONS
from faultsim.stats import Estimate, bounded_mean, clopper_pearson, image_rate

OUTCOMES = ("due", "sdc", "benign", "masked")
INTERPLAY = ("faults_alone", "excess")
EVENT, METRIC = "e:", "m:"


@dataclass(frozen=True)
class CellSummary:
    """One condition of a campaign.

    Attributes:
        cell: Its labels.
        trials: Number of trials.
        rates: Share of images with each outcome.
        any_sdc: Share of trials with at least one silent data corruption.
        any_due: Share of trials with at least one detected error.
        accuracy: Mean over trials; of other tasks than classification, of their objective.
        lowest: The worst of a trial.
        diagnosis: Of binary sets: mean ``sensitivity`` and ``specificity`` over trials, where they
            are defined, and the share of images in each direction of silent corruption,
            ``missed`` and ``false_alarms``.
        interplay: Of campaigns that perturb images: mean accuracy of ``faults_alone``, on the
            images as they are, and ``excess``, by how much the loss of accuracy under both
            exceeds the sum of the losses under each.
        objective: Of other tasks, what ``accuracy`` is the mean of; "" of unharmed samples.
        events: Of other tasks, the share of samples to which each happened.
        metrics: Of other tasks, the mean of each figure over trials, where it is defined.
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
    objective: str | None = None
    events: Mapping[str, Estimate] = field(default_factory=dict)
    metrics: Mapping[str, Estimate] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        known = {
            "cell": dict(self.cell),
            "trials": self.trials,
            "rates": _json(self.rates),
            "any_sdc": self.any_sdc.to_json(),
            "any_due": self.any_due.to_json(),
        }
        if self.objective is None:
            of_images = {"diagnosis": _json(self.diagnosis), "interplay": _json(self.interplay)}
            return {
                **known,
                "accuracy": self.accuracy.to_json(),
                "lowest": self.lowest,
                **of_images,
            }
        score = {"name": self.objective, **self.accuracy.to_json(), "lowest": self.lowest}
        others = {"events": _json(self.events), "metrics": _json(self.metrics)}
        return {**known, "objective": score, **others}


def summarise(
    lines: Iterable[Line],
    *,
    sampled: bool = True,
    attack_loss: float = 0.0,
    objective: str | None = None,
) -> list[CellSummary]:
    """The cells of a journal in the order they began; search trials are left out.

    Args:
        lines: Journal lines.
        sampled: False where all possible faults were tried: rates then carry no interval.
        attack_loss: Accuracy that the perturbation alone takes from the golden model.
        objective: Of a task that is no classification, the figure that counts; "" for none.
    """
    cells: dict[str, list[Line]] = {}
    for line in lines:
        if not line.searching:
            cells.setdefault(json.dumps(line.cell), []).append(line)
    return [_summary(group, sampled, attack_loss, objective) for group in cells.values()]


def _summary(
    outcomes: list[Line], sampled: bool, attack_loss: float, objective: str | None
) -> CellSummary:
    cell = outcomes[0].cell
    searched = str(cell.get("curve", "")).startswith("worst-case")
    images = [outcome.n for outcome in outcomes]
    count = len(outcomes)
    estimates = {
        name: image_rate([getattr(o, name) for o in outcomes], images) for name in OUTCOMES
    }
    estimates["any_sdc"] = clopper_pearson(sum(o.sdc > 0 for o in outcomes), count)
    estimates["any_due"] = clopper_pearson(sum(o.due > 0 for o in outcomes), count)
    told = [o.score("acc" if objective is None else objective) for o in outcomes]
    scores = [score for score in told if math.isfinite(score)] or [0.0]
    bounds = (0.0, 1.0) if not objective else None
    estimates["accuracy"] = _mean(scores, bounds)
    if objective is None:
        estimates |= _diagnosis(outcomes) | _interplay(outcomes, attack_loss)
    else:
        estimates |= _events(outcomes) | _metrics(outcomes)
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
        lowest=min(scores),
        diagnosis={name: estimates[name] for name in DIAGNOSIS if name in estimates},
        interplay={name: estimates[name] for name in INTERPLAY if name in estimates},
        objective=objective,
        events=_under(EVENT, estimates),
        metrics=_under(METRIC, estimates),
    )


def _mean(values: list[float], bounds: tuple[float, float] | None) -> Estimate:
    """No interval holds the mean of what may be arbitrarily large, and rarely is."""
    if bounds is not None:
        return bounded_mean(values, *bounds)
    return Estimate(sum(values) / len(values), None, None, len(values), "of unknown range")


def _under(prefix: str, estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    found = {name.removeprefix(prefix): e for name, e in estimates.items() if name[:2] == prefix}
    return found


def _events(outcomes: list[Line]) -> dict[str, Estimate]:
    images = [outcome.n for outcome in outcomes]
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.events or ())
    return {EVENT + n: image_rate([o.figure(n) or 0 for o in outcomes], images) for n in names}


def _metrics(outcomes: list[Line]) -> dict[str, Estimate]:
    """Of those that are defined, and finite, in all trials."""
    found = {}
    for name in outcomes[0].metrics or ():
        values = [v for o in outcomes if (v := o.figure(name)) is not None]
        if len(values) == len(outcomes) and all(map(math.isfinite, values)):
            found[METRIC + name] = _mean(values, None)
    return found


def _json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in estimates.items()}


def _interplay(outcomes: list[Line], attack_loss: float) -> dict[str, Estimate]:
    """Of one trial, with C, F, P, J the accuracy clean, under faults, perturbed and under both,
    the excess is (C - J) - (C - F) - (C - P) = F - J - (C - P)."""
    alone = [v for o in outcomes if (v := o.figure("clean_acc")) is not None]
    if len(alone) < len(outcomes):
        return {}
    excess = [f - o.score("acc") - attack_loss for f, o in zip(alone, outcomes, strict=True)]
    return {
        "faults_alone": bounded_mean(alone),
        "excess": bounded_mean(excess, -1 - attack_loss, 1 - attack_loss),
    }


def _diagnosis(outcomes: list[Line]) -> dict[str, Estimate]:
    """What is defined of it; whether an image set has a diseased one is the same in all trials."""
    images = [outcome.n for outcome in outcomes]
    found = {}
    for name in DIAGNOSIS:
        counts = name in DIRECTIONS
        values = [o.figure(name) for o in outcomes]
        defined = [value for value in values if value is not None]
        if len(defined) == len(values):
            found[name] = image_rate(defined, images) if counts else bounded_mean(defined)
    return found
