"""Several heads, each with a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.outputs import Rows
from faultsim.workload.parts import Where, part
from faultsim.workload.task import Change, Events, Task, task_of

SDC = "sdc"
Figures = Mapping[str, float | int | None]


class Multi(Task):
    """A sample is corrupted when any head's is.

    Each head gets its part of the output and of the targets: by its name, from a tuple or list by
    its position, or as said. Its events and figures carry its name, ``head.sdc``, ``head.acc``.
    """

    def __init__(
        self,
        heads: Mapping[str, Task | Change],
        *,
        outputs: Mapping[str, Where] | None = None,
        targets: Mapping[str, Where] | None = None,
        weights: Mapping[str, float] | None = None,
        objective: str | None = None,
    ) -> None:
        """Says what the heads are.

        Args:
            heads: A task, or a function ``(golden, faulty, batch)``, by the name of its head.
            outputs: Where a head's output is, a path or a function of the whole output.
            targets: Where its targets are; they are None where nothing has its name.
            weights: Of the heads in the loss, which is their weighted sum; those not named are left
                out. By default all, with weight 1.
            objective: A head, whose objective a search lowers, or a figure such as ``head.acc``; by
                default the first head.

        Raises:
            ConfigError: There is no head, or none of a name.
        """
        if not heads:
            raise ConfigError("Multi needs a task for each head, and there is none")
        self.heads = {name: task_of(task) for name, task in heads.items()}
        self._outputs, self._places = dict(outputs or {}), dict(targets or {})
        self._weights = dict.fromkeys(heads, 1.0) if weights is None else dict(weights)
        for name in (*self._outputs, *self._places, *self._weights):
            self._check_head(name)
        self._aim = next(iter(heads)) if objective is None else objective
        if self._aim not in heads and self._aim.rpartition(".")[0] not in heads:
            raise ConfigError(
                f"objective {self._aim!r} is neither a head ({', '.join(heads)}) nor a figure of "
                "one, such as head.acc"
            )
        self._choose()

    def _check_head(self, name: str) -> None:
        if name not in self.heads:
            raise ConfigError(f"there is no head {name!r}, but {', '.join(self.heads)}")

    def _choose(self) -> None:
        """What a search lowers; a head may know only once it has seen its targets."""
        self.objective, self.chance = self._aim, 0.0
        if self._aim in self.heads:
            head = self.heads[self._aim]
            self.objective = f"{self._aim}.{head.objective}" if head.objective else ""
            self.chance = head.chance

    def check(self, output: Any, batch: Batch) -> None:
        for name, task in self.heads.items():
            try:
                task.check(self._output(name, output), self._batch(name, batch))
            except ConfigError as error:
                raise ConfigError(f"head {name}: {error}") from None
        self._choose()

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        parts = [task.samples(self._output(n, output), size) for n, task in self.heads.items()]
        if all(isinstance(rows, (torch.Tensor, Rows)) for rows in parts):
            return Rows([leaf for rows in parts for leaf in _leaves(rows)], size)
        return list(zip(*parts, strict=True))

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        events: dict[str, torch.Tensor] = {}
        corrupted = torch.zeros(batch.size, dtype=torch.bool)
        for name, task in self.heads.items():
            was, now = (self._output(name, each) for each in (golden, output))
            found = task.changed(was, now, self._batch(name, batch))
            found = found if isinstance(found, Mapping) else {SDC: found}
            events |= {f"{name}.{event}": torch.as_tensor(flag) for event, flag in found.items()}
            corrupted = corrupted | torch.as_tensor(next(iter(found.values()))).cpu()
        return {SDC: corrupted, **events}

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        total: Any = 0.0
        for name, weight in self._weights.items():
            task = self.heads[name]
            if getattr(type(task), "loss", None) is Task.loss:
                raise ConfigError(
                    f"head {name} has no loss: weights={{...}} of the others leaves it out"
                )
            total = total + weight * task.loss(self._output(name, output), self._batch(name, batch))
        return torch.as_tensor(total)

    def scores(self, outputs: Sequence[Any], batches: Sequence[Batch]) -> Figures:
        return self._figures(lambda task: task.scores, outputs, batches=batches)

    def probe(self, outputs: Sequence[Any], batches: Sequence[Batch]) -> Figures:
        """The scores that a search rests on."""
        return self._figures(
            lambda task: getattr(task, "probe", task.scores), outputs, batches=batches
        )

    def deviations(
        self, golden: Sequence[Any], outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Figures:
        """Figures of how far a run is from the golden one, of the heads that have any."""
        return self._figures(
            lambda task: getattr(task, "deviations", None), golden, outputs, batches=batches
        )

    def _figures(
        self,
        told: Callable[[Task], Callable[..., Figures] | None],
        *runs: Sequence[Any],
        batches: Sequence[Batch],
    ) -> Figures:
        found: dict[str, float | int | None] = {}
        for name, task in self.heads.items():
            figures = told(task)
            if figures is not None:
                parts = [[self._output(name, output) for output in run] for run in runs]
                own = figures(*parts, [self._batch(name, batch) for batch in batches])
                found |= {f"{name}.{figure}": value for figure, value in own.items()}
        return found

    def _output(self, name: str, output: Any) -> Any:
        where = self._outputs.get(name, self._default(name, output))
        if where is None:
            raise ConfigError(
                f"the output ({type(output).__name__}) has nothing called {name}: "
                f"outputs={{{name!r}: ...}} says where it is"
            )
        return part(output, where)

    def _batch(self, name: str, batch: Batch) -> Batch:
        where = self._places.get(name, self._default(name, batch.targets))
        if where is None and isinstance(batch.targets, torch.Tensor):
            raise ConfigError(
                f"the targets are one tensor: targets={{{name!r}: ...}} says which are of {name}"
            )
        targets = None if where is None else part(batch.targets, where)
        return Batch(batch.inputs, targets, batch.size)

    def _default(self, name: str, tree: Any) -> Where | None:
        """By name, or by position where there are no names."""
        known = trees.items(tree)
        if name in known:
            return lambda tree: trees.items(tree)[name]  # which may have dots
        if isinstance(tree, (tuple, list)) and len(tree) == len(self.heads):
            return list(self.heads).index(name)
        return name if not isinstance(tree, torch.Tensor) and hasattr(tree, name) else None


def _leaves(rows: Any) -> Sequence[torch.Tensor]:
    return [rows] if isinstance(rows, torch.Tensor) else rows.leaves
