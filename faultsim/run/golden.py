"""Golden runs: the model without faults, whose outputs every trial is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from faultsim import trees
from faultsim.errors import ConfigError, FaultSimError
from faultsim.run.engine import Engine
from faultsim.run.outcome import Outcome
from faultsim.workload import Batch, Workload
from faultsim.workload.failures import NOT_ITS_OWN, cause
from faultsim.workload.outputs import shapes


@dataclass(frozen=True)
class Golden:
    """The fault-free run on some batches.

    Attributes:
        batches: On the CPU.
        outputs: One a batch, on the CPU.
        engine: What ran them, and runs trials.
        unharmed: The outcomes of a trial that changes no bit, by whether it is part of a search.
    """

    batches: Sequence[Batch]
    outputs: Sequence[Any]
    engine: Engine
    unharmed: dict[bool, Outcome] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of samples."""
        return sum(batch.size for batch in self.batches)

    def first(self, n: int | None) -> Golden:
        """The run on the first ``n`` samples, or all; batches that cannot be cut stay whole."""
        if n is None:
            return self
        batches, outputs, left = [], [], n
        for batch, output in zip(self.batches, self.outputs, strict=True):
            if left > 0:
                batches.append(_cut(batch, output, left))
                outputs.append(_head(output, batch.size, batches[-1].size))
                left -= batches[-1].size
        return Golden(batches, outputs, self.engine)


def _cut(batch: Batch, output: Any, n: int) -> Batch:
    rows = all(leaf.ndim and len(leaf) == batch.size for leaf in trees.tensors(output))
    return batch.first(n) if rows else batch


def _head(output: Any, size: int, n: int) -> Any:
    return output if n == size else trees.map_tensors(output, lambda _, leaf: leaf[:n])


def golden_run(workload: Workload, batches: Sequence[Batch], engine: Engine) -> Golden:
    """Runs the model without faults.

    Args:
        workload: The model and its task.
        batches: On the CPU, at least one.
        engine: Records what it runs.

    Raises:
        ConfigError: The model fails, or its output does not fit the task.
    """
    outputs = []
    with torch.no_grad():
        for number, batch in enumerate(batches):
            output = on_cpu(golden_output(workload, batch, engine, number))
            workload.task.check(output, batch)
            outputs.append(output)
    return Golden(batches, outputs, engine)


def golden_output(workload: Workload, batch: Batch, engine: Engine, number: int) -> Any:
    """The output for one batch; errors as :func:`golden_run`."""
    try:
        return engine.record(engine.inputs(number, batch.inputs))
    except FaultSimError:
        raise
    except Exception as error:
        what = _shape(batch)
        raise ConfigError(
            f"the model fails on {workload.unit} of shape {what}: {cause(error)}"
        ) from error


def _shape(batch: Batch) -> str:
    known = [part for part in shapes(batch.inputs) if isinstance(part, tuple)]
    return ", ".join(str(shape) for shape, _ in known) or f"{batch.size} samples"


def on_cpu(output: Any) -> Any:
    """A copy of an output that no later pass can change."""
    return trees.map_tensors(output, lambda _, leaf: leaf.detach().to("cpu", copy=True))


__all__ = ["NOT_ITS_OWN", "Golden", "golden_output", "golden_run", "on_cpu"]
