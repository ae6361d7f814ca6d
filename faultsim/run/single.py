"""Trials of one sample, alone in its pass: the real model with the bit really flipped."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import torch

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.kinds import When
from faultsim.run.engine import Engine, WholePass, make_engine
from faultsim.run.golden import Golden, golden_run
from faultsim.run.judge import judge
from faultsim.run.outcome import Outcome
from faultsim.run.replay import Prefix
from faultsim.run.runner import Runner
from faultsim.workload import Batch, Workload
from faultsim.workload.outputs import identical
from faultsim.workload.single import single

NEAR = 0.05
"""Of the largest value: what rounding may change where a sample leaves its batch, in any format."""

OFTEN = 16
"""Trials of a sample after which it is recorded, to be replayed: that takes about 13 passes of it,
and saves half of one each time."""


class SinglePasses:
    """One fault set on one sample; the sample is judged against a golden pass of its own.

    Golden passes are made as they are needed, and kept: a pass of one sample need not give the bits
    that a whole batch gives. Samples that come often are replayed, to the same bits.
    """

    def __init__(
        self,
        workload: Workload,
        golden: Golden,
        device: torch.device,
        when: When,
        *,
        replay: bool = True,
    ) -> None:
        """Nothing is run yet.

        Args:
            workload: Its model is on ``device``.
            golden: The run on the batches that hold the samples.
            device: Where it runs.
            when: As for an :class:`~faultsim.injector.Injector`.
            replay: Whether trials may run only what their faults can reach.
        """
        self._workload, self._golden = workload, golden
        self._device, self._when = device, when
        self._ends = list(accumulate(batch.size for batch in golden.batches))
        self._runners: dict[int, Runner] = {}
        self._trials = Counter[int]()
        self._replay, self._recorded = replay, 0
        self._engine: Engine | None = None

    def sample(self, number: int) -> Batch:
        """Sample ``number`` of all batches, as a batch; errors as :func:`single`."""
        at, row = self._place(number)
        return single(self._golden.batches[at], row)

    def _place(self, number: int) -> tuple[int, int]:
        """The batch of a sample, and its row there."""
        at = bisect_right(self._ends, number)
        return at, number - (self._ends[at] - self._golden.batches[at].size)

    def run(self, faults: FaultSet, number: int) -> Outcome:
        """What the faults do to one sample.

        Raises:
            FaultSimError: The faults do not fit the model, or one never fired.
        """
        runner = self._runner(number)
        outputs = runner.outputs(faults)
        return judge(self._workload.task, runner.golden, outputs, scored=False)

    def _runner(self, number: int) -> Runner:
        self._trials[number] += 1
        if number not in self._runners:
            golden = self._run(number, WholePass(self._workload, self._device))
            self._check_alike(number, golden.outputs[0])
            self._runners[number] = self._runner_of(golden)
        elif self._trials[number] == OFTEN and self._replay:
            self._record(number)
        return self._runners[number]

    def _run(self, number: int, engine: Engine) -> Golden:
        return golden_run(self._workload, [self.sample(number)], engine)

    def _runner_of(self, golden: Golden) -> Runner:
        return Runner(self._workload, golden, self._device, self._when)

    def _record(self, number: int) -> None:
        """Replays the trials of a sample from now on, if its golden output is the same so."""
        if self._engine is None:
            samples = [self.sample(number)] * self._golden.size  # of which only the number counts
            self._engine = make_engine(self._workload, samples, self._device, replay=True)
        if isinstance(self._engine, Prefix) and self._engine.cuts:
            golden = self._run(number, _Recorded(self._engine, self._recorded))
            self._recorded += 1
            if identical(golden.outputs[0], self._runners[number].golden.outputs[0]):
                self._runners[number] = self._runner_of(golden)

    def _check_alike(self, number: int, alone: Any) -> None:
        """Raises ConfigError where a sample alone is another than in its batch.

        A model may look at its whole batch, or the batch was not cut as it is meant.
        """
        at, row = self._place(number)
        task, size = self._workload.task, self._golden.batches[at].size
        was = task.samples(self._golden.outputs[at], size)[row]
        now = task.samples(alone, 1)[0]
        for before, after in zip(trees.tensors(was), trees.tensors(now), strict=False):
            if before.shape == after.shape and not _near(before, after):
                raise ConfigError(
                    f"sample {number} alone has another output than in its batch of {size}: give "
                    "batches of one sample"
                )


class _Recorded:
    """An engine that has recorded other batches before, for the next alone."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine, self._number = engine, number

    @property
    def lost(self) -> Mapping[str, str]:
        return self._engine.lost

    def record(self, inputs: Any) -> Any:
        return self._engine.record(inputs)

    def inputs(self, number: int, inputs: Any) -> Any:
        return self._engine.inputs(self._number, inputs)

    def prepare(self, faults: FaultSet, inputs: Any) -> None:
        self._engine.prepare(faults, inputs)

    def run(self, number: int, inputs: Any, faults: FaultSet) -> Any:
        return self._engine.run(self._number, inputs, faults)


def _near(before: torch.Tensor, after: torch.Tensor) -> bool:
    if not before.is_floating_point() or not before.numel():
        return True
    was, now = before.double(), after.double()
    most = float(was.nan_to_num(0, 0, 0).abs().max())
    return torch.allclose(was, now, rtol=NEAR, atol=NEAR * most, equal_nan=True)
