"""One trial and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from faultsim.faults import FaultSet

Cell = Mapping[str, Any]
"""The condition a trial belongs to, as JSON scalars: ``{"layer": "head", "flips": 2}``."""


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
        correct: Images predicted as labelled; a DUE counts as wrong.
        due: Detected errors: a non-finite output, or a forward pass that raised.
        sdc: Silent data corruptions: a prediction that differs from the golden run.
        benign: Output bits differ, the prediction does not.
        masked: Output bit-identical.
        loss: Mean cross entropy.
        max_dev: Largest finite deviation of an output from the golden run.
        acc: Accuracy.
        auc: As MedMNIST's evaluator; None where undefined, and in search trials.
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

    def to_json(self) -> dict[str, Any]:
        """Numbers for a journal line; non-finite ones as strings."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Outcome:
        """The outcome of a journal line."""
        names = cls.__dataclass_fields__
        return cls(**{key: _number(line[key]) for key in names})


def _plain(value: float | int | None) -> float | int | str | None:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value
