"""Trials of one sample: what its faults do to it, judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from faultsim.kinds import When
from faultsim.run.carried.inferences import Inference, Inferences, Pair
from faultsim.run.golden import Golden
from faultsim.run.judge import judge
from faultsim.run.outcome import Outcome
from faultsim.workload import Workload

MEASURED = True
"""Whether faults are carried only where that was measured to be faster than a flip."""


class InferenceTrials:
    """Trials of one sample in its batch; many share a pass, and no outcome depends on which."""

    def __init__(
        self, workload: Workload, golden: Golden, device: torch.device, when: When
    ) -> None:
        """Arguments and errors as for :class:`~faultsim.run.carried.inferences.Inferences`."""
        self._task, self._engine = workload.task, golden.engine
        self._inferences = Inferences(workload, golden, device, when, measured=MEASURED)
        self._golden: dict[int, Golden] = {}

    def run(self, pairs: Sequence[Pair]) -> Iterator[Outcome]:
        """What becomes of each pair of faults and sample; errors as of ``Inferences.run``."""
        for (_, sample), found in zip(pairs, self._inferences.run(pairs), strict=True):
            golden = self._alone(sample, found)
            yield judge(self._task, golden, [found.output], scored=False)

    def _alone(self, sample: int, found: Inference) -> Golden:
        """The golden run on one sample, as it was in its batch."""
        if sample not in self._golden:
            self._golden[sample] = Golden([found.batch], [found.golden], self._engine)
        return self._golden[sample]
