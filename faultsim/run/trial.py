"""One trial and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from faultsim.faults import FaultSet

Cell = Mapping[str, Any]
"""The condition a trial belongs to, as JSON scalars: ``{"layer": "head", "flips": 2}``."""

DIAGNOSIS = ("sensitivity", "specificity", "missed", "false_alarms")
"""Fields of an outcome that only binary sets have."""

OPTIONAL = (*DIAGNOSIS, "clean_acc")
"""Fields that a journal line leaves out where they are None."""


@dataclass(frozen=True)
class Trial:
    """A fault set and the images it is tried on.

    Attributes:
        faults: Armed together, for every image.
        cell: The condition the trial belongs to.
        split: ``test`` for results, ``val`` while searching.
        images: How many of the split's images, from the first; None for all.
    """

    faults: FaultSet
    cell: Cell
    split: str = "test"
    images: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a trial did to the predictions, against the golden run.

    Each image is exactly one of DUE, SDC, benign and masked, tested in this order.

    Attributes:
        n: Images.
        correct: Images predicted as labelled, every label where there are several; a DUE counts
            as wrong.
        due: Detected errors: a non-finite output, or a forward pass that raised.
        sdc: Silent data corruptions: a prediction that differs from the golden run, in any label.
        benign: Output bits differ, the prediction does not.
        masked: Output bit-identical.
        loss: Mean cross entropy, binary where there are several labels.
        max_dev: Largest finite deviation of an output from the golden run.
        acc: Accuracy, as MedMNIST's evaluator: the mean over the labels where there are several.
        auc: As MedMNIST's evaluator; None where undefined, and in search trials.
        sensitivity: Share of diseased images predicted so; None where there are none, and, as the
            three below, unless the set is binary.
        specificity: Share of the other images predicted so.
        missed: Silent corruptions from diseased to healthy.
        false_alarms: Silent corruptions from healthy to diseased.
        clean_acc: Accuracy under the same faults on images that are not perturbed; None in
            campaigns that perturb none, and in search trials.
    """

    n: int
    correct: int
    due: int
    sdc: int
    benign: int
    masked: int
    loss: float
    max_dev: float
    acc: float
    auc: float | None
    sensitivity: float | None = None
    specificity: float | None = None
    missed: int | None = None
    false_alarms: int | None = None
    clean_acc: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Numbers for a journal line, non-finite ones as strings, without what does not apply."""
        items = asdict(self).items()
        return {k: _plain(v) for k, v in items if v is not None or k not in OPTIONAL}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Outcome:
        """The outcome of a journal line."""
        names = [key for key in cls.__dataclass_fields__ if key in line or key not in OPTIONAL]
        return cls(**{key: _number(line[key]) for key in names})


def _plain(value: float | int | None) -> float | int | str | None:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value
