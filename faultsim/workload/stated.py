"""A classifier under an attack on stated samples, which the search then has to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch, Rows
from faultsim.workload.tasks.targeted import Targeted, marked
from faultsim.workload.workload import REPORTED, Workload


class Stated(Workload):
    """The workload of a classifier whose stated samples are to fail.

    They are some of those that results come from; the attacker has them, so the search sees them
    first. Of a stealthy attack it sees after them the samples that any search may look at; of
    another it sees no others.
    """

    def __init__(
        self,
        work: Workload,
        numbers: Sequence[int],
        target: int | None = None,
        *,
        stealthy: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            work: Of a classification, one class a sample.
            numbers: Of the samples, in the order of the reported split, from 0.
            target: The class that they are to be taken for; None for any but their own.
            stealthy: Whether the other samples are to be classified as they are labelled.

        Raises:
            ConfigError: The task is another.
        """
        vars(self).update(vars(work))
        self._work, self._numbers, self._stealthy = work, tuple(numbers), stealthy
        self.unit = work.unit
        self.task = Targeted(work.task, target, stealthy=stealthy, stated=True)

    def read(self, split: str, batch_size: int = 128, limit: int | None = None) -> list[Batch]:
        """See :class:`Workload`; targets mark the stated samples.

        Raises:
            ConfigError: There is no such sample, or samples are not the rows of tensors.
        """
        images, labels = self._rows(REPORTED, batch_size, limit)
        wanted = torch.tensor(self._numbers)
        if max(self._numbers) >= len(images):
            raise ConfigError(
                f"--target-samples {max(self._numbers)}: there are {len(images):,} "
                f"{self.unit}, 0 to {len(images) - 1:,}"
            )
        aimed = torch.zeros(len(images), dtype=torch.bool)
        aimed[wanted] = True
        if split != REPORTED:
            images, labels, aimed = images[wanted], labels[wanted], aimed[wanted]
            if self._stealthy:
                others, theirs = self._rows(split, batch_size, limit)
                images, labels = _joined(images, others), torch.cat([labels, theirs])
                aimed = torch.cat([aimed, torch.zeros(len(others), dtype=torch.bool)])
        parts = (torch.split(each, batch_size) for each in (images, marked(labels, aimed)))
        return [Rows(rows, told, len(rows)) for rows, told in zip(*parts, strict=True)]

    def record(self, splits: Mapping[str, Sequence[Batch]]) -> dict[str, Any]:
        return self._work.record(splits)

    def _rows(
        self, split: str, batch_size: int, limit: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batches = self._work.read(split, batch_size, limit)
        if not batches:
            raise ConfigError(f"{self.name} has no {split} {self.unit}")
        if not all(isinstance(batch, Rows) and batch.targets is not None for batch in batches):
            raise ConfigError(
                "--target-samples needs samples that are rows of a tensor, and a label of each"
            )
        inputs = torch.cat([batch.inputs for batch in batches])
        labels = torch.cat([batch.targets for batch in batches])
        return inputs, labels.reshape(len(inputs), -1)[:, 0]


def _joined(stated: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    if stated.shape[1:] != others.shape[1:]:
        raise ConfigError(
            f"--stealthy needs samples of one shape: those to keep are {tuple(others.shape[1:])}, "
            f"those to fail {tuple(stated.shape[1:])}"
        )
    return torch.cat([stated, others])
