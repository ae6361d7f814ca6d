"""Runs a fault set over the batches of a golden run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from faultsim.errors import FaultSimError
from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.kinds import When
from faultsim.ops import check_device_flag
from faultsim.ops.grid import check_device, on_grid
from faultsim.run.golden import Golden, on_cpu
from faultsim.run.judge import Raised
from faultsim.run.replay import CapturedTrials, Prefix
from faultsim.workload import Workload
from faultsim.workload.failures import NOT_ITS_OWN


class Runner:
    """Trials of one golden run: as graphs where the device can hold them, else batch by batch.

    Attributes:
        golden: The golden run.
        graphs: The trials of a CUDA device; None elsewhere.
    """

    def __init__(
        self, workload: Workload, golden: Golden, device: torch.device, when: When = "after"
    ) -> None:
        self.golden = golden
        self._model, self._device, self._when = workload.model, device, when
        self.graphs = self._captured()

    def _captured(self) -> CapturedTrials | None:
        engine, place = self.golden.engine, torch.empty(0, device=self._device)
        if not isinstance(engine, Prefix) or not on_grid(place):
            return None
        try:
            check_device(place.device)
            return CapturedTrials(self._model, engine, place.device, self._when)
        except FaultSimError:  # each trial is run without, and says what it is
            return None

    def outputs(self, faults: FaultSet, samples: int | None = None) -> list[Any]:
        """The outputs under faults, on the CPU, :class:`Raised` where the model raised.

        Args:
            faults: Armed for all batches.
            samples: How many, from the first; None for all.

        Raises:
            FaultSimError: The faults do not fit the model, or one never fired.
        """
        golden = self.golden.first(samples)
        sizes = [batch.size for batch in golden.batches]
        given = [golden.engine.inputs(n, batch.inputs) for n, batch in enumerate(golden.batches)]
        found = self.graphs.run(faults, given, sizes) if self.graphs else None
        if found is None:
            outputs = self._injected(golden, faults, given, sizes)
        else:
            outputs = [on_cpu(output) for output in found]
        if self._device.type == "cuda":  # awaited just now
            check_device_flag(self._device)
        return outputs

    def _injected(
        self, golden: Golden, faults: FaultSet, given: Sequence[Any], sizes: Sequence[int]
    ) -> list[Any]:
        outputs: list[Any] = []
        golden.engine.prepare(faults, given[0])
        injector = Injector(self._model, faults, when=self._when)
        with injector, torch.no_grad():
            for number, (inputs, size) in enumerate(zip(given, sizes, strict=True)):
                fed = injector.feed(inputs)
                try:
                    outputs.append(on_cpu(golden.engine.run(number, fed, faults)))
                except NOT_ITS_OWN:
                    raise
                except Exception:  # a fault that makes the forward pass raise is a detected error
                    outputs.append(Raised())
                injector.advance(size)
        return outputs
