"""A task: what the outputs of a model mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.outputs import rows_of

Events = torch.Tensor | Mapping[str, torch.Tensor]
"""(size,) bool; or several by name, of which the first is the silent data corruption."""

Change = Callable[[Any, Any, Batch], Events]


@runtime_checkable
class Task(Protocol):
    """Compares outputs sample by sample, and scores whole runs. Most of it may be left out.

    A subclass needs :meth:`changed` alone. :meth:`scores` gives the run its figures, and with
    :meth:`loss` a worst-case search can rank bits by gradient. Further figures, of how far a run is
    from the golden one, may come from a method ``deviations(golden, outputs, batches)``, which
    sees neither batches nor outputs of a pass that raised. An attribute ``ranges`` may say of
    figures, by name, their least and greatest possible value: the means of others carry no
    interval, as none can hold where no range is known.

    Attributes:
        objective: The score that a search lowers; "" for the share of samples that are unharmed.
        chance: Where it may stop: no model need be worse.
    """

    objective: str = ""
    chance: float = 0.0

    def check(self, output: Any, batch: Batch) -> None:
        """Raises ConfigError, in one clear line, where a golden output does not fit the task."""
        return None

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        """What is compared bit for bit: an entry a sample, each a tree of tensors.

        Args:
            output: Of the model, on the CPU.
            size: Samples of the batch.
        """
        return rows_of(output, size)

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        """Which samples are silently corrupted, and what else happened to them."""
        raise NotImplementedError

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """A scalar that grows as outputs become worse, with a gradient."""
        raise ConfigError(f"the task {name_of(self)} has no loss")

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        """Figures of a whole run, by name; None for what is undefined."""
        return {}


class Compared(Task):
    """The task that a plain function states: ``(golden, faulty, batch)`` to events."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        return self._change(golden, output, batch)


def task_of(given: Any) -> Task:
    """A task as it is, or of a plain function.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(given, Task):
        return given
    if callable(given) and not isinstance(given, type):
        return Compared(given)
    raise ConfigError(
        f"a task is a faultsim.workload.Task or a function (golden, faulty, batch), not {given!r}"
    )


def ranges_of(task: Task) -> Mapping[str, tuple[float, float]]:
    """Of the figures that have them."""
    found: Mapping[str, tuple[float, float]] = getattr(task, "ranges", {})
    return found


def name_of(task: Task) -> str:
    """For manifests and messages."""
    function = task._change if isinstance(task, Compared) else None
    return getattr(function, "__name__", "") or type(task).__name__
