"""One pass in which samples carry faults of their own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from faultsim import trees
from faultsim.run.carried.again import correct, of_batch
from faultsim.run.carried.hits import Hits, hits_of
from faultsim.run.carried.operators import Call
from faultsim.run.carried.reading import Reading
from faultsim.run.carried.storage import Memory, Struck, Undo, joined, memory_of, settle, struck
from faultsim.run.dispatch import Dispatch


class Diverged(Exception):
    """A pass did not run the operators that it was expected to run."""


class CarriedPass(Dispatch):
    """Corrects, sample by sample, the operators that read struck words.

    Attributes:
        spent: By sample, processor time that its fault took.
    """

    def __init__(
        self,
        funcs: Sequence[Any],
        readings: Mapping[int, Reading],
        patches: Mapping[int, Struck],
        size: int,
        ledger: list[Undo],
    ) -> None:
        """Touches nothing yet.

        Args:
            funcs: The operators of the pass.
            readings: By number, those that may read what is struck.
            patches: By address of a storage, the words that are struck there.
            size: Samples of the batch.
            ledger: As for :func:`struck`.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._funcs, self._readings, self._size, self._ledger = funcs, readings, size, ledger
        self._patches = dict(patches)
        self._kept: list[Any] = []  # values that carry faults; their addresses are not used again
        self._number = 0
        self.spent: dict[int, float] = defaultdict(float)

    def run(self, run: Callable[[], Any]) -> Any:
        """The output of the pass.

        Args:
            run: Does it.

        Raises:
            Diverged: It ran other operators, or was cut short.
        """
        try:
            try:
                with self:
                    output = run()
            finally:
                settle(self._ledger)
        except BaseException:
            settle(self._ledger)  # once more: an interrupt may have come between
            raise
        if self._number != len(self._funcs):
            raise Diverged
        return output

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        number, self._number = self._number, self._number + 1
        if number >= len(self._funcs) or self._funcs[number] is not func:
            raise Diverged
        reading = self._readings.get(number)
        if reading is None:
            return func(*args, **(kwargs or {}))
        return self._corrected(Call(func, args, kwargs or {}), reading)

    def _corrected(self, call: Call, reading: Reading) -> Any:
        if not any(memory_of(call.leaves[n]) in self._patches for n in call.tensors):
            return call.run()
        before = call
        if written := call.written():
            before = call.with_operands({n: trees.copy_of(call.leaves[n]) for n in written})
        result = call.run()
        start, outputs = time.process_time(), list(trees.tensors(result))
        hits = hits_of(before, self._patches, reading, outputs[0])
        if reading.derives:
            self._derive(before, outputs, hits)
        elif hits.reached:
            correct(before, outputs, hits, reading, self._size, self._ledger)
        spent = time.process_time() - start  # once: the clock is slow on some machines
        for sample in hits.reached:
            self.spent[sample] += spent / len(hits.reached)
        return result

    def _derive(self, call: Call, outputs: Sequence[torch.Tensor], hits: Hits) -> None:
        """Notes in which words a value of weights differs for each sample."""
        memories = [Memory(output) for output in outputs]
        self._kept += [output.untyped_storage() for output in outputs]
        for memory in memories:
            self._patches.pop(memory.address, None)  # of what lay there before
        made = defaultdict[int, list[Struck]](list)
        for sample in hits.reached:
            with struck(hits.struck_for([sample]), self._ledger):
                again = of_batch(call)
            for memory, output, new in zip(memories, outputs, again, strict=True):
                words = Memory(new)
                if output.stride() != new.stride() or len(words.words) != len(memory.words):
                    raise Diverged
                places = (words.words != memory.words).nonzero().flatten()
                if len(places):
                    owner = np.full(len(places), sample)
                    part = Struck(memory, owner, places.cpu().numpy(), words.words[places])
                    made[memory.address].append(part)
        self._patches |= {address: joined(parts) for address, parts in made.items()}
