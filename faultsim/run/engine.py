"""Engines: ways to run a workload on one batch while faults are armed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from faultsim import trees
from faultsim.faults import FaultSet
from faultsim.run.replay import Prefix
from faultsim.workload import Batch, Workload
from faultsim.workload.failures import cause

MEASURED = True
"""Whether replay is used only where it was measured to win."""


class Engine(Protocol):
    """Runs batches in the order they were recorded, always to the bits of the whole model."""

    @property
    def lost(self) -> Mapping[str, str]:
        """What could have been faster, and why it is not."""

    def record(self, inputs: Any) -> Any:
        """The golden output of the next batch; what trials can make use of is kept."""

    def inputs(self, number: int, inputs: Any) -> Any:
        """A batch's inputs on the device."""

    def prepare(self, faults: FaultSet, inputs: Any) -> None:
        """Looks at the first batch, before faults are armed, for what a trial of them can use."""

    def run(self, number: int, inputs: Any, faults: FaultSet) -> Any:
        """The output for a batch while faults are armed."""


class WholePass:
    """Runs all of the model, always."""

    def __init__(
        self, workload: Workload, device: torch.device, lost: Mapping[str, str] | None = None
    ) -> None:
        self._workload, self._device, self._lost = workload, device, lost or {}

    @property
    def lost(self) -> Mapping[str, str]:
        return self._lost

    def record(self, inputs: Any) -> Any:
        return self._workload.run(inputs)

    def inputs(self, number: int, inputs: Any) -> Any:
        return trees.map_tensors(inputs, lambda _, tensor: tensor.to(self._device))

    def prepare(self, faults: FaultSet, inputs: Any) -> None:
        """All is run in any case."""

    def run(self, number: int, inputs: Any, faults: FaultSet) -> Any:
        return self._workload.run(inputs)


def make_engine(
    workload: Workload, batches: list[Batch], device: torch.device, *, replay: bool
) -> Engine:
    """The engine of one split.

    Args:
        workload: Its model is on ``device``.
        batches: Of the split.
        device: Where it runs.
        replay: Whether trials may run only what their faults can reach.
    """
    if not replay:
        return WholePass(workload, device)
    first, total = batches[0].to(device), sum(batch.size for batch in batches)
    try:
        return Prefix(
            workload.model,
            first.inputs,
            total,
            run=workload.run,
            size=first.size,
            measured=MEASURED and device.type == "cpu",  # a graph is faster from any cut
        )
    except Exception as error:  # the golden run meets it again, and says what it is
        return WholePass(workload, device, {"all of it": cause(error)})
