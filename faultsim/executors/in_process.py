"""In this process: what a debugger can step through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from faultsim.run.experiment import Experiment
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial


class InProcess:
    """Runs each trial when its outcome is asked for."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    @property
    def lost(self) -> Mapping[str, str]:
        """As :attr:`Experiment.lost`."""
        return self._experiment.lost

    def ahead(self, trial: Trial) -> int:
        """None: there is nobody to run them meanwhile."""
        return 0

    def submit(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        """Nothing is run yet."""
        return self._experiment.outcomes(trials)

    def finish(self) -> None:
        """Raises InjectionError unless the model is what it was."""
        self._experiment.check_intact()

    def close(self) -> None:
        """There is nothing to stop."""
