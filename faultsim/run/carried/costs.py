"""What running an operator once more costs, and how many samples get the bits of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from faultsim import trees
from faultsim.run.carried.again import of_batch, of_some
from faultsim.run.carried.moved import is_coarse
from faultsim.run.carried.operators import Call
from faultsim.run.carried.pass_ import Diverged
from faultsim.run.carried.reading import Reading
from faultsim.run.carried.rows import part_of
from faultsim.run.dispatch import Dispatch
from faultsim.run.timing import timed
from faultsim.targets.layouts import differs

FEW = (2, 8, 1)
"""Samples that may do for a batch: kernels often have another way for a single one, and for two or
more that of any number. So one alone, which takes longest to see, is the last resort."""

SEEN, NUMBERS = 32, 1 << 14
"""Samples of a batch that are to get their bits so; fewer that have so many numbers together."""


class Costs(Dispatch):
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
        """The numbers of samples that get the bits of the batch, also beside an infinite weight.

        That shows whether kernels treat the border of a sample alike.
        """
        struck = call.with_operands(_infinite(call, reading))
        device = outputs[0].device
        wanted, batch = timed(partial(of_batch, struck), device)
        seconds = {self._size: batch}
        few = reading.apart and not any(map(is_coarse, outputs))
        for count in FEW if few else ():
            samples = list(range(count))
            if count == 1 and len(seconds) > 1:
                break
            if count < self._size and self._same(call, reading, outputs, count):
                run = partial(of_some, struck, reading, self._size, samples, count)
                (again, once), (_, more) = timed(run, device), timed(run, device)
                if self._equal(reading, wanted, again, samples, count):
                    seconds[count] = min(once, more)
        return replace(reading, seconds=seconds)

    def _same(
        self, call: Call, reading: Reading, outputs: Sequence[torch.Tensor], count: int
    ) -> bool:
        """Whether samples get their bits, each in another place than it has in the batch."""
        each = sum(output.numel() for output in outputs) // self._size
        seen = max(count, min(SEEN, -(-NUMBERS // max(1, each))))
        numbers = range(self._size - 1, -1, -1)[:seen]
        chunks = [numbers[n : n + count] for n in range(0, len(numbers), count)]
        try:
            return all(
                self._equal(
                    reading, outputs, of_some(call, reading, self._size, some, count), some, count
                )
                for some in chunks
            )
        except (RuntimeError, ValueError, IndexError):  # it does not run on so few
            return False

    def _equal(
        self,
        reading: Reading,
        outputs: Sequence[torch.Tensor],
        again: Sequence[torch.Tensor],
        samples: Sequence[int],
        count: int,
    ) -> bool:
        for layout, output, new in zip(reading.outputs, outputs, again, strict=True):
            if layout is None:
                continue
            for place, sample in enumerate(samples):
                mine = part_of(output, layout, self._size, sample)
                other = part_of(new, layout, count, place)
                if mine.shape != other.shape or bool(differs(mine, other).any()):
                    return False
        return True


def _infinite(call: Call, reading: Reading) -> dict[int, torch.Tensor]:
    """Operands without samples, as weights are, the first value of each infinite."""
    found: dict[int, torch.Tensor] = {}
    for leaf, layout in zip(call.tensors, reading.inputs, strict=True):
        tensor = call.leaves[leaf]
        if layout is None and tensor.is_floating_point() and tensor.numel():
            found[leaf] = trees.copy_of(tensor)
            found[leaf][(0,) * tensor.ndim] = torch.inf
    return found
