"""Trials of one sample, alone in its pass: the real model with the bit really flipped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch

from faultsim.faults import FaultSet
from faultsim.kinds import When
from faultsim.run.engine import WholePass
from faultsim.run.golden import golden_run
from faultsim.run.judge import judge
from faultsim.run.runner import Runner
from faultsim.run.trial import Outcome
from faultsim.workload import Batch, Workload
from faultsim.workload.single import single


class SinglePasses:
    """One fault set on one sample; the sample is judged against a golden pass of its own.

    Golden passes are made as they are needed, and kept: a pass of one sample need not give the bits
    that a whole batch gives.
    """

    def __init__(
        self, workload: Workload, batches: Sequence[Batch], device: torch.device, when: When
    ) -> None:
        """Nothing is run yet.

        Args:
            workload: Its model is on ``device``.
            batches: That hold the samples.
            device: Where it runs.
            when: As for an :class:`~faultsim.injector.Injector`.
        """
        self._workload, self._batches = workload, batches
        self._device, self._when = device, when
        self._ends = list(accumulate(batch.size for batch in batches))
        self._runners: dict[int, Runner] = {}

    def sample(self, number: int) -> Batch:
        """Sample ``number`` of all batches, as a batch; errors as :func:`single`."""
        at = next(at for at, end in enumerate(self._ends) if number < end)
        batch = self._batches[at]
        return single(batch, number - (self._ends[at] - batch.size))

    def run(self, faults: FaultSet, number: int) -> Outcome:
        """What the faults do to one sample.

        Raises:
            FaultSimError: The faults do not fit the model, or one never fired.
        """
        runner = self._runner(number)
        outputs = runner.outputs(faults)
        return judge(self._workload.task, runner.golden, outputs, scored=False)

    def _runner(self, number: int) -> Runner:
        if number not in self._runners:
            engine = WholePass(self._workload, self._device)
            golden = golden_run(self._workload, [self.sample(number)], engine)
            self._runners[number] = Runner(self._workload, golden, self._device, self._when)
        return self._runners[number]
