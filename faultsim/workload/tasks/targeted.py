"""A classification as a targeted attack sees it: some samples are to be taken for one class.

The three attacks of Rakin et al., "T-BFA: Targeted Bit-Flip Adversarial Weight Attack" (IEEE TPAMI
2021): all samples into one class (n-to-1), those of one class into another (1-to-1), and that while
the rest is classified as before (1-to-1, stealthy). And that of Bai et al., "Targeted Attack
against Deep Neural Networks via Flipping Limited Weight Bits" (ICLR 2021): samples that are stated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.task import Events, Task, name_of
from faultsim.workload.tasks.classification import Classification

SUCCESS, KEPT, UNMET = "attack_success", "kept", "unmet"


class Targeted(Task):
    """A classification of one class a sample, under a targeted attack.

    Samples that the attack aims at are those of the source class, or all that are not of the target
    class, or those that targets mark (:func:`marked`). Its figures: ``attack_success``, the share
    of those that are taken for the target class, or for any but their own where there is none;
    ``kept``, the accuracy on the others; ``unmet``, what a search lowers: the share of aimed
    samples that are not taken for it, of a stealthy attack its mean with the error on the others.
    Events are those of the classification.
    """

    objective = UNMET
    chance = 0.0
    ranges: Mapping[str, tuple[float, float]] = dict.fromkeys((SUCCESS, KEPT, UNMET, "acc"), (0, 1))

    def __init__(
        self,
        task: Task,
        target: int | None,
        source: int | None = None,
        *,
        stealthy: bool = False,
        stated: bool = False,
    ) -> None:
        """Says what the attack wants.

        Args:
            task: A :class:`Classification` of one class a sample.
            target: The class that is to be predicted; of stated samples None for any but theirs.
            source: Of the samples for which it is; None for all of another class.
            stealthy: Whether the other samples are to be classified as they are labelled.
            stated: Whether targets mark the samples for which it is.

        Raises:
            ConfigError: The task is another.
        """
        if not isinstance(task, Classification) or task.multi_label:
            what = "has several labels a sample" if isinstance(task, Classification) else "is none"
            raise ConfigError(
                f"a targeted attack needs a classification, one class a sample: {name_of(task)} "
                f"{what}"
            )
        self._stated = stated
        self._task, self._target, self._source, self._stealthy = task, target, source, stealthy

    def check(self, output: Any, batch: Batch) -> None:
        self._task.check(output, self._plain(batch))
        classes = self._task.rows(output).shape[1]
        for name, number in (("target", self._target), ("source", self._source)):
            if number is not None and number >= classes:
                raise ConfigError(
                    f"--{name}-class {number}: the model has {classes} classes, 0 to {classes - 1}"
                )

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        return self._task.samples(output, size)

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        return self._task.changed(golden, output, self._plain(batch))

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """Grows as aimed samples come nearer to the target; of T-BFA, the negative."""
        return self._loss(self._task.rows(output), *self._read([batch]))

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        logits = torch.cat([self._task.rows(output) for output in outputs])
        labels, aimed = self._read(batches)
        found = logits.argmax(dim=1)
        met = found != labels if self._target is None else found == self._target
        success, kept = _share(met[aimed]), _share((found == labels)[~aimed])
        unmet = 1 - (success or 0.0)
        if self._stealthy:
            unmet = (unmet + 1 - (1.0 if kept is None else kept)) / 2
        return {
            "acc": _share(found == labels),
            "loss": float(self._loss(logits.double(), labels, aimed)),
            SUCCESS: success,
            KEPT: kept,
            UNMET: unmet,
        }

    def _plain(self, batch: Batch) -> Batch:
        return batch._replace(targets=batch.targets[:, 0]) if self._stated else batch

    def _read(self, batches: Sequence[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) labels, and (n,) bool which samples the attack aims at."""
        plain = map(self._plain, batches)
        labels: torch.Tensor = torch.cat([self._task.labels(batch.targets) for batch in plain])
        if self._stated:
            return labels, torch.cat([batch.targets[:, 1] for batch in batches]).bool()
        if self._source is None:
            return labels, torch.ne(labels, self._target)  # type: ignore[arg-type]
        return labels, torch.eq(labels, self._source)

    def _loss(self, rows: torch.Tensor, labels: torch.Tensor, aimed: torch.Tensor) -> torch.Tensor:
        """Grows as aimed samples come nearer to the target, or stray from their labels."""
        away = cross_entropy(rows, labels, reduction="none")
        nearer = away
        if self._target is not None:
            nearer = -cross_entropy(rows, torch.full_like(labels, self._target), reduction="none")
        loss = nearer[aimed].sum() / max(1, int(aimed.sum()))
        if self._stealthy:
            loss = loss - away[~aimed].sum() / max(1, int((~aimed).sum()))
        return loss


def marked(labels: torch.Tensor, aimed: torch.Tensor) -> torch.Tensor:
    """Targets that say which samples an attack aims at.

    Args:
        labels: (n,) or (n, 1) classes.
        aimed: (n,) bool.

    Returns:
        (n, 2) int64.
    """
    return torch.stack([labels.reshape(-1).long(), aimed.long()], dim=1)


def _share(flags: torch.Tensor) -> float | None:
    return float(flags.double().mean()) if len(flags) else None
