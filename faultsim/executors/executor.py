"""What a campaign asks of whatever runs its trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial


class Executor(Protocol):
    """Runs trials; which process does it, and in which order, no outcome depends on."""

    @property
    def lost(self) -> Mapping[str, str]:
        """What could have been faster by now, and why it is not."""

    def ahead(self, trial: Trial) -> int:
        """How many such trials are worth submitting beside those whose outcomes are asked for."""

    def submit(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        """Takes trials of which none depends on another; their outcomes come in their order.

        Raises:
            FaultSimError: From the iterator, at the trial that failed.
        """

    def finish(self) -> None:
        """Says that there are no more trials.

        Raises:
            InjectionError: A model that trials ran on is not what it was at the start.
        """

    def close(self) -> None:
        """Stops at once; nothing of the executor is left."""
