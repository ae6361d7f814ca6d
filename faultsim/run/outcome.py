"""What became of a trial, as counts and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Cell = Mapping[str, Any]
"""The condition a trial belongs to, as JSON scalars: ``{"layer": "head", "flips": 2}``."""

Number = float | int | None

FIGURES = ("correct", "loss", "acc", "auc")
"""What a line of an image campaign says of its trial beside what happened to the images."""

DIAGNOSIS = ("sensitivity", "specificity", "missed", "false_alarms")
"""Fields of an outcome that only binary sets have."""

DIRECTIONS = ("missed", "false_alarms")
"""Those of them that are events, counted in images; other events stand beside the fields."""

COUNTS = ("n", "due", "sdc", "benign", "masked", "max_dev")

ALWAYS = ("n", "correct", "due", "sdc", "benign", "masked", "loss", "max_dev", "acc", "auc")
SELDOM = (*DIAGNOSIS, "clean_acc")
LINE = (*ALWAYS, *SELDOM)
"""The fields of an image campaign's line, in their order; the last ones where they apply."""


def searching(cell: Cell) -> bool:
    """Whether trials of a cell belong to a search, which no result may rest on."""
    return "search" in cell


@dataclass(frozen=True)
class Outcome:
    """What a trial did, against the golden run.

    Each sample is exactly one of DUE, SDC, benign and masked, tested in this order.

    Attributes:
        n: Samples.
        due: Detected errors: a non-finite output, or a forward pass that raised.
        sdc: Silent data corruptions, as the task has it: of a classifier, another prediction.
        benign: Output bits differ, the task sees no difference.
        masked: Output bit-identical.
        max_dev: Largest finite deviation of an output from the golden run.
        events: Samples to which something else happened that the task names, DUE aside.
        metrics: The task's figures of the whole run; None for what is undefined.
        raised: Detected errors of a forward pass that raised.
    """

    n: int
    due: int
    sdc: int
    benign: int
    masked: int
    max_dev: float
    events: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Number] = field(default_factory=dict)
    raised: int = 0

    @property
    def of_images(self) -> bool:
        """Whether its figures are those of a classifier, and stand in the journal line itself."""
        return self.metrics.keys() >= _FIGURES

    @property
    def acc(self) -> float:
        """Accuracy, as MedMNIST's evaluator: the mean over the labels where there are several."""
        found = self.metrics["acc"]
        assert found is not None
        return float(found)

    @property
    def loss(self) -> float:
        """Mean cross entropy, binary where there are several labels; NaN where there is none."""
        found = self.metrics.get("loss")
        return math.nan if found is None else float(found)

    @property
    def correct(self) -> int:
        """Images predicted as labelled, every label where there are several; none of the DUE."""
        return int(self.metrics["correct"] or 0)

    @property
    def auc(self) -> float | None:
        """As MedMNIST's evaluator; None where undefined, and in search trials."""
        return self.metrics.get("auc")

    @property
    def sensitivity(self) -> float | None:
        """Share of diseased images predicted so; None where there are none."""
        return self.metrics.get("sensitivity")

    @property
    def specificity(self) -> float | None:
        """Share of the other images predicted so; None where there are none."""
        return self.metrics.get("specificity")

    @property
    def clean_acc(self) -> float | None:
        """Accuracy under the same faults on images that are not perturbed, where others are."""
        return self.metrics.get("clean_acc")

    def score(self, objective: str) -> float:
        """What a search lowers: a figure, or for "" the share of samples that are unharmed."""
        found = self.metrics.get(objective)
        unharmed = (self.benign + self.masked) / self.n
        return unharmed if not objective else math.nan if found is None else float(found)

    def to_json(self) -> dict[str, Any]:
        """Numbers for a journal line, non-finite ones as strings."""
        counts = {name: getattr(self, name) for name in COUNTS} | {"max_dev": plain(self.max_dev)}
        raised = {"raised": self.raised} if self.raised else {}
        metrics = {name: plain(value) for name, value in self.metrics.items()}
        if not self.of_images:
            return {**counts, **raised, "events": dict(self.events), "metrics": metrics}
        known = {**counts, **metrics, **self.events}
        shown = {name: known[name] for name in ALWAYS}
        shown |= {name: known[name] for name in SELDOM if known.get(name) is not None}
        others = {name: n for name, n in self.events.items() if name not in DIRECTIONS}
        return shown | raised | ({"events": others} if others else {})

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Outcome:
        """The outcome of a journal line."""
        counts = {name: _number(line[name]) for name in COUNTS}
        if "metrics" in line:
            events, metrics = line["events"], line["metrics"]
        else:
            events = {name: line[name] for name in DIRECTIONS if name in line}
            events |= line.get("events", {})
            others = (name for name in LINE if name not in (*COUNTS, *DIRECTIONS))
            metrics = {n: line[n] for n in others if n in line or n in FIGURES}
        figures = {name: _number(value) for name, value in metrics.items()}
        return cls(**counts, events=dict(events), metrics=figures, raised=line.get("raised", 0))


_FIGURES = frozenset(FIGURES)


def plain(value: Number) -> float | int | str | None:
    """A number as JSON has it; one that is not finite as its name."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value
