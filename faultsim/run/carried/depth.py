"""Where passes may begin: behind what none of their faults can reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from faultsim.faults import FaultSet
from faultsim.run.carried.pass_ import Diverged
from faultsim.run.carried.rows import samples_of
from faultsim.run.golden import Golden
from faultsim.run.replay import Prefix
from faultsim.run.replay.calls import WHOLE
from faultsim.run.replay.values import Kept, Unkept
from faultsim.workload import Workload

Run = Callable[[], Any]


class Extent(NamedTuple):
    """How much of a pass is run.

    Attributes:
        cut: From where on.
        rows: The share of the batch's.
    """

    cut: int
    rows: float = 1.0


class Depth:
    """The cuts of a golden run; there may be none."""

    def __init__(self, workload: Workload, golden: Golden) -> None:
        self._workload, self._golden = workload, golden
        engine = golden.engine
        self._prefix = engine if isinstance(engine, Prefix) and engine.cuts else None
        self._left: dict[int, float] = {WHOLE: 1.0}
        self._cuttable: dict[int, bool] = {}

    def prepare(self, faults: FaultSet) -> None:
        """Finds out once what it takes to know where faults act; nothing may be armed."""
        if self._prefix is not None and any(site.kind != "weights" for site in faults.sites):
            inputs = self._prefix.inputs(0, self._golden.batches[0].inputs)
            self._prefix.prepare(faults, inputs)

    def cut(self, number: int, inputs: Any, faults: FaultSet) -> int:
        """Where a pass of a batch with such faults may begin.

        Args:
            number: Of the batch.
            inputs: Its, on the device.
            faults: Weights' or others'.
        """
        if self._prefix is None:
            return WHOLE
        if number not in self._cuttable:
            self._cuttable[number] = self._prefix.kept(number, inputs) is not None
        return self._prefix.cut(faults) if self._cuttable[number] else WHOLE

    def left(self, extent: Extent) -> float:
        """The share of a pass of the whole batch that there is to do."""
        if extent.cut not in self._left:
            assert self._prefix is not None
            self._left[extent.cut] = 1 - self._prefix.calls.saved(extent.cut)
        return self._left[extent.cut] * extent.rows

    def run_from(self, number: int, inputs: Any, cut: int, samples: Sequence[int]) -> Run:
        """Gets ready to run a batch from a cut on; who runs it gets its output.

        It raises Diverged where it reads what the golden run did not.

        Args:
            number: Of the batch.
            inputs: Its, on the device.
            cut: From where on.
            samples: In each row.
        """
        size, given = self._golden.batches[number].size, inputs
        moved = list(samples) != list(range(size))
        if moved:
            given = samples_of(inputs, size, samples)
        if cut == WHOLE:
            return partial(self._workload.run, given)
        prefix = self._prefix
        assert prefix is not None
        kept = prefix.kept(number, inputs)
        assert kept is not None
        if moved:
            kept = prefix.copy(kept, cut, lambda tree: samples_of(tree, size, samples))
            kept = kept.shortened(size, len(samples))
        return partial(_run_from, prefix, given, kept, cut)


def _run_from(prefix: Prefix, inputs: Any, kept: Kept, cut: int) -> Any:
    try:
        return prefix.forward(inputs, kept, cut)
    except Unkept:
        raise Diverged from None
