"""What a campaign found: outcome rates of each cell, with intervals over trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from faultsim.campaign.lines import Line
from faultsim.errors import ConfigError
from faultsim.run.outcome import DIAGNOSIS, DIRECTIONS, plain
from faultsim.stats import Estimate, bounded_mean, clopper_pearson, image_rate

Floats = npt.NDArray[np.float64]

OUTCOMES = ("due", "sdc", "benign", "masked")
INTERPLAY = ("faults_alone", "excess")
EVENT, METRIC = "e:", "m:"
SHARE = (0.0, 1.0)
NEVER_FINITE = Estimate(math.nan, None, None, 0, "never finite")


@dataclass(frozen=True, repr=False)
class CellSummary:
    """One condition of a campaign.

    Attributes:
        cell: Its labels.
        trials: Number of trials.
        rates: Share of images with each outcome.
        any_sdc: Share of trials with at least one silent data corruption.
        any_due: Share of trials with at least one detected error.
        accuracy: Mean over trials; of other tasks than classification, of their objective, over
            the trials where it is finite.
        lowest: The worst of those; NaN where there are none.
        diagnosis: Of binary sets: mean ``sensitivity`` and ``specificity`` over trials, where they
            are defined, and the share of images in each direction of silent corruption,
            ``missed`` and ``false_alarms``.
        interplay: Of campaigns that perturb images: mean accuracy of ``faults_alone``, on the
            images as they are, and ``excess``, by how much the loss of accuracy under both
            exceeds the sum of the losses under each.
        objective: Of other tasks, what ``accuracy`` is the mean of; "" of unharmed samples.
        events: The share of samples to which each happened that the task names.
        metrics: Of other tasks, the mean of each figure over the trials in which it is finite.
        left_out: Of other tasks, how many trials have no part in the mean of a figure, by its name,
            where there are any: those of a detected error, for one, whose figure is not finite.
            The mean is then one of the other trials, and may look better than most.
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
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        labels = ", ".join(f"{name} {value}" for name, value in self.cell.items())
        rates = (f"{name.upper()} {self.rates[name]}" for name in ("sdc", "due"))
        return f"CellSummary({labels}: {self.trials:,} trials, {', '.join(rates)})"

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
                **({"events": _json(self.events)} if self.events else {}),
            }
        score = {"name": self.objective, **self.accuracy.to_json(), "lowest": plain(self.lowest)}
        score["value"] = plain(self.accuracy.value)
        others = {"events": _json(self.events), "metrics": _json(self.metrics)}
        others |= {"left_out": dict(self.left_out)} if self.left_out else {}
        return {**known, "objective": score, **others}


def summarise(
    lines: Iterable[Line],
    *,
    sampled: bool = True,
    attack_loss: float = 0.0,
    objective: str | None = None,
    ranges: Mapping[str, Sequence[float]] | None = None,
) -> list[CellSummary]:
    """The cells of a journal in the order they began; search trials are left out.

    Args:
        lines: Journal lines.
        sampled: False where all possible faults were tried: rates then carry no interval.
        attack_loss: Accuracy that the perturbation alone takes from the golden model.
        objective: Of a task that is no classification, the figure that counts; "" for none.
        ranges: Least and greatest possible value of figures that have such.
    """
    cells: dict[bytes, list[Line]] = {}
    for line in lines:
        if not line.searching:
            cells.setdefault(msgspec.json.encode(line.cell), []).append(line)
    known = {"acc": SHARE, "": SHARE, **(ranges or {})}
    return [_summary(group, sampled, attack_loss, objective, known) for group in cells.values()]


def _summary(
    outcomes: list[Line],
    sampled: bool,
    attack_loss: float,
    objective: str | None,
    ranges: Mapping[str, Sequence[float]],
) -> CellSummary:
    cell = outcomes[0].cell
    searched = str(cell.get("curve", "")).startswith("worst-case")
    count, images = len(outcomes), column(outcomes, "n")
    kinds = {name: column(outcomes, name) for name in OUTCOMES}
    estimates = {name: sample_rate(events, images) for name, events in kinds.items()}
    estimates["any_sdc"] = clopper_pearson(int((kinds["sdc"] > 0).sum()), count)
    estimates["any_due"] = clopper_pearson(int((kinds["due"] > 0).sum()), count)
    counts = "acc" if objective is None else objective
    told = [o.score(counts) for o in outcomes]
    scores = [score for score in told if math.isfinite(score)]
    if counts == "":
        estimates["accuracy"] = sample_rate(kinds["benign"] + kinds["masked"], images)
    elif scores:
        estimates["accuracy"] = _mean(scores, ranges.get(counts))
    else:
        estimates["accuracy"] = NEVER_FINITE
    estimates |= _events(outcomes)
    if objective is None:
        estimates |= _diagnosis(outcomes) | _interplay(outcomes, attack_loss)
    else:
        estimates |= _metrics(outcomes, ranges)
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
        lowest=min(scores, default=math.nan),
        diagnosis={name: estimates[name] for name in DIAGNOSIS if name in estimates},
        interplay={name: estimates[name] for name in INTERPLAY if name in estimates},
        objective=objective,
        events=_under(EVENT, estimates),
        metrics=_under(METRIC, estimates),
        left_out={} if objective is None else _left_out(outcomes),
    )


def column(lines: Sequence[Line], name: str) -> Floats:
    """(trials,) one figure of each."""
    return np.fromiter(map(attrgetter(name), lines), np.float64, len(lines))


def sample_rate(events: Floats, images: Floats) -> Estimate:
    """The share of samples; where each trial had one, a proportion.

    Args:
        events: (trials,) samples with the outcome, each trial.
        images: (trials,) samples evaluated, each trial.
    """
    if images.max() > 1 or len(images) == 1:
        return image_rate(events, images)
    return clopper_pearson(int(events.sum()), len(images))


def _mean(values: list[float], ends: Sequence[float] | None) -> Estimate:
    """No interval holds the mean of what may be arbitrarily large, and rarely is."""
    if ends is None:
        return Estimate(sum(values) / len(values), None, None, len(values), "no range known")
    try:
        return bounded_mean(values, ends[0], ends[1])
    except ConfigError:  # a task that is wrong of its figures costs no campaign
        return Estimate(sum(values) / len(values), None, None, len(values), "range left")


def _under(prefix: str, estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    found = {name.removeprefix(prefix): e for name, e in estimates.items() if name[:2] == prefix}
    return found


def _events(outcomes: list[Line]) -> dict[str, Estimate]:
    """Over the trials that tell of events: those recorded by an earlier version may not."""
    told = [outcome for outcome in outcomes if outcome.events]
    images = column(told, "n")
    names = dict.fromkeys(name for outcome in told for name in outcome.events or ())
    found = {}
    for name in names:
        counts = ((outcome.events or {}).get(name, 0) for outcome in told)
        found[EVENT + name] = sample_rate(np.fromiter(counts, np.float64, len(told)), images)
    return found


def _metrics(outcomes: list[Line], ranges: Mapping[str, Sequence[float]]) -> dict[str, Estimate]:
    """Each over the trials in which it is defined and finite, where there are such."""
    found = {}
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.metrics or ()):
        told = (outcome.figure(name) for outcome in outcomes)
        values = [value for value in told if value is not None and math.isfinite(value)]
        if values:
            found[METRIC + name] = _mean(values, ranges.get(name))
    return found


def _left_out(outcomes: list[Line]) -> dict[str, int]:
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.metrics or ())
    lost = {n: sum(not math.isfinite(outcome.score(n)) for outcome in outcomes) for n in names}
    return {name: count for name, count in lost.items() if count}


def _json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in estimates.items()}


def _interplay(outcomes: list[Line], attack_loss: float) -> dict[str, Estimate]:
    """Of one trial, with C, F, P, J the accuracy clean, under faults, perturbed and under both,
    the excess is (C - J) - (C - F) - (C - P) = F - J - (C - P)."""
    if not _defined("clean_acc", outcomes):
        return {}
    alone = [o.score("clean_acc") for o in outcomes]
    excess = [f - o.score("acc") - attack_loss for f, o in zip(alone, outcomes, strict=True)]
    return {
        "faults_alone": bounded_mean(alone),
        "excess": bounded_mean(excess, -1 - attack_loss, 1 - attack_loss),
    }


def _diagnosis(outcomes: list[Line]) -> dict[str, Estimate]:
    """What is defined of it; whether an image set has a diseased one is the same in all trials."""
    images = column(outcomes, "n")
    found = {}
    for name in DIAGNOSIS:
        if _defined(name, outcomes):
            values = [o.score(name) for o in outcomes]
            found[name] = image_rate(values, images) if name in DIRECTIONS else bounded_mean(values)
    return found


def _defined(figure: str, outcomes: list[Line]) -> bool:
    """Whether every trial has it; most often the first one tells."""
    return all(outcome.figure(figure) is not None for outcome in outcomes)
