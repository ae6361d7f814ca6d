"""What running an operator once more costs, and whether one sample has the bits of a batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from faultsim import trees
from faultsim.run.carried.again import Reading, of_batch, of_sample
from faultsim.run.carried.operators import Call
from faultsim.run.carried.pass_ import Diverged
from faultsim.run.carried.rows import part_of, spread
from faultsim.targets.layouts import differs


class Costs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches one golden pass of a batch; outcomes do not depend on what it measures.

    Attributes:
        readings: As given, with what was found for batches of this size.
    """

    def __init__(self, funcs: Sequence[Any], readings: Mapping[int, Reading], size: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.readings = dict(readings)
        self._funcs, self._size, self._number = funcs, size, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        number, self._number = self._number, self._number + 1
        if number >= len(self._funcs) or self._funcs[number] is not func:
            raise Diverged
        reading = self.readings.get(number)
        if reading is None or reading.derives:
            return func(*args, **(kwargs or {}))
        call = Call(func, args, kwargs or {})
        fresh = {n: trees.copy_of(call.leaves[n]) for n in call.written()}
        before, result = call.with_operands(fresh), call.run()
        self.readings[number] = self._measured(before, reading, list(trees.tensors(result)))
        return result

    def _measured(self, call: Call, reading: Reading, outputs: Sequence[torch.Tensor]) -> Reading:
        batch = _seconds(lambda: of_batch(call))
        alone = None
        if reading.sample_seconds is not None and self._same(call, reading, outputs):
            alone = _seconds(lambda: of_sample(call, reading, self._size, 0))
        return replace(reading, batch_seconds=batch, sample_seconds=alone)

    def _same(self, call: Call, reading: Reading, outputs: Sequence[torch.Tensor]) -> bool:
        return all(self._sample(call, reading, outputs, n) for n in range(self._size))

    def _sample(
        self, call: Call, reading: Reading, outputs: Sequence[torch.Tensor], sample: int
    ) -> bool:
        try:
            again = of_sample(call, reading, self._size, sample)
            for layout, output, new in zip(reading.outputs, outputs, again, strict=True):
                if layout is None:
                    continue
                mine, other = part_of(output, layout, self._size, sample), spread(new, layout)
                if mine.shape != other.shape or bool(differs(mine, other).any()):
                    return False
        except (RuntimeError, ValueError, IndexError):  # it does not run on one sample
            return False
        return True


def _seconds(run: Any) -> float:
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
