"""Where passes may begin: behind what none of their faults can reach."""

from __future__ import annotations

from typing import Any

from faultsim.faults import FaultSet
from faultsim.run.carried.pass_ import Diverged
from faultsim.run.golden import Golden
from faultsim.run.replay import Prefix
from faultsim.run.replay.calls import WHOLE
from faultsim.run.replay.values import Unkept
from faultsim.workload import Workload


class Depth:
    """The cuts of a golden run; there may be none."""

    def __init__(self, workload: Workload, golden: Golden) -> None:
        self._workload, self._golden = workload, golden
        engine = golden.engine
        self._prefix = engine if isinstance(engine, Prefix) and engine.cuts else None
        self._left: dict[int, float] = {WHOLE: 1.0}

    def prepare(self, faults: FaultSet) -> None:
        """Finds out once what it takes to know where faults act; nothing may be armed."""
        if self._prefix is not None:
            inputs = self._prefix.inputs(0, self._golden.batches[0].inputs)
            self._prefix.prepare(faults, inputs)

    def cut(self, number: int, inputs: Any, faults: FaultSet) -> int:
        """Where a pass of a batch with such faults may begin.

        Args:
            number: Of the batch.
            inputs: Its, on the device.
            faults: Weights' or others'.
        """
        if self._prefix is None or self._prefix.kept(number, inputs) is None:
            return WHOLE
        return self._prefix.cut(faults)

    def left(self, cut: int) -> float:
        """The share of a pass that a run from a cut on leaves to do."""
        if cut not in self._left:
            assert self._prefix is not None
            self._left[cut] = 1 - self._prefix.calls.saved(cut)
        return self._left[cut]

    def run(self, number: int, inputs: Any, cut: int) -> Any:
        """The output of a batch, from a cut on.

        Raises:
            Diverged: It reads what the golden run did not.
        """
        if cut == WHOLE:
            return self._workload.run(inputs)
        assert self._prefix is not None
        kept = self._prefix.kept(number, inputs)
        assert kept is not None
        try:
            return self._prefix.forward(inputs, kept, cut)
        except Unkept:
            raise Diverged from None
