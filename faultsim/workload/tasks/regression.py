"""Numbers: corrupted when they move further than a tolerance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.outputs import rows_of
from faultsim.workload.readout import mean, number, reals
from faultsim.workload.task import Events, Task

FIGURES = ("mae", "rmse", "r2")


class Regression(Task):
    """A sample is corrupted when any of its numbers moves by more than the tolerance.

    That is, by more than ``absolute + relative * |golden|``, as ``torch.isclose`` has it. What is
    predicted are all real numbers of the output, in rows of samples, or what ``read`` makes of it.
    Targets, if any, are as many numbers a sample, in a tensor or a tree of them.

    Figures of a run, with targets: ``mae`` and ``rmse``, over all numbers; ``r2``, the coefficient
    of determination of each number over the samples, and their mean. In any case ``deviation``,
    the mean distance from the golden run over the samples that are finite.
    """

    def __init__(
        self,
        absolute: float = 0.0,
        relative: float = 0.0,
        *,
        unit: str = "",
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        """Sets the tolerance.

        Args:
            absolute: In the unit of the predictions.
            relative: As a share of the golden prediction.
            unit: Of the predictions: the event is then called by it, "off by 50 cents".
            read: An output to its predictions, a tree of tensors with a row a sample. It must be
                differentiable where a worst-case search is to rank by gradient.

        Raises:
            ConfigError: A tolerance is negative or not a number.
        """
        if not (absolute >= 0 and relative >= 0):
            raise ConfigError(f"tolerances are 0 or more, not {absolute} and {relative}")
        self.absolute, self.relative, self.unit = absolute, relative, unit
        self._read = read or (lambda output: output)

    @property
    def event(self) -> str:
        """What a corrupted sample is called."""
        share = f"{self.relative:g} of it" if self.relative else ""
        parts = [f"{self.absolute:g} {self.unit}" if self.absolute or not share else "", share]
        return "off by " + " and ".join(filter(None, parts)) if self.unit else "sdc"

    def check(self, output: Any, batch: Batch) -> None:
        found = self._numbers(output, batch)
        if not found.shape[1]:
            raise ConfigError(
                f"a regression gives real numbers, a row for each of {batch.size} samples: give "
                "Regression(read=) a function that finds them in the output"
            )
        if batch.targets is not None and _targets(batch).shape != found.shape:
            raise ConfigError(
                f"a sample has {found.shape[1]} predictions, but {_targets(batch).shape[1]} targets"
            )

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        return rows_of(output, size)

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        was, now = self._numbers(golden, batch), self._numbers(output, batch)
        if was.shape != now.shape:
            return {self.event: torch.ones(batch.size, dtype=torch.bool)}
        close = torch.isclose(now, was, rtol=self.relative, atol=self.absolute)
        return {self.event: ~close.all(dim=1)}

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """Mean squared error."""
        if batch.targets is None:
            raise ConfigError("a regression without targets has no loss for worst-case to rank by")
        found = self._numbers(output, batch)
        return functional.mse_loss(found, _targets(batch).to(found.device))

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        if any(batch.targets is None for batch in batches):
            return {}
        found = [self._numbers(o, batch) for o, batch in zip(outputs, batches, strict=True)]
        wanted = [_targets(batch) for batch in batches]
        if any(one.shape != other.shape for one, other in zip(found, wanted, strict=True)):
            return dict.fromkeys(FIGURES)
        error = torch.cat([(f - w).reshape(-1) for f, w in zip(found, wanted, strict=True)])
        mse = mean(error.square())
        return {
            "loss": mse,
            "mae": mean(error.abs()),
            "rmse": None if mse is None else mse**0.5,
            "r2": _r2(found, wanted),
        }

    def deviations(
        self, golden: Sequence[Any], outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        gaps = [self._gap(*each) for each in zip(golden, outputs, batches, strict=True)]
        return {"deviation": mean(torch.cat(gaps)) if gaps else None}

    def _gap(self, golden: Any, output: Any, batch: Batch) -> torch.Tensor:
        was, now = self._numbers(golden, batch), self._numbers(output, batch)
        if was.shape != now.shape:
            return now.new_empty(0)
        return (now - was).abs()[now.isfinite().all(dim=1)].reshape(-1)

    def _numbers(self, output: Any, batch: Batch) -> torch.Tensor:
        return reals(self._read(output), batch.size)


def _targets(batch: Batch) -> torch.Tensor:
    def real(_: str, leaf: torch.Tensor) -> torch.Tensor:
        return leaf.double()

    return reals(trees.map_tensors(batch.targets, real), batch.size)


def _r2(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> float | None:
    """The mean over the columns; None where one does not vary, or batches differ in columns."""
    if len({each.shape[1] for each in wanted}) > 1:
        return None
    predicted, truth = torch.cat(list(found)), torch.cat(list(wanted))
    spread = (truth - truth.mean(dim=0)).square().sum(dim=0)
    if not spread.all():
        return None
    return number((1 - (predicted - truth).square().sum(dim=0) / spread).mean())
