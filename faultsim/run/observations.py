"""What the trials of an experiment do to the outputs of modules."""

from __future__ import annotations

from collections.abc import Mapping

from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.run.deviation import Deviation, joined
from faultsim.run.experiment import Experiment
from faultsim.run.observer import Observation, Observer, Summary, summary_of
from faultsim.run.trial import Trial
from faultsim.workload import Batch
from faultsim.workload.workload import REPORTED


class TrialObserver:
    """Compares whole passes with faults and without, beside the trial itself, batch by batch.

    Attributes:
        samples: By site, in the order of the golden pass, how many samples there are to compare.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Runs the model without faults on all batches.

        Raises:
            FaultError: The calls of the model's modules cannot be seen.
        """
        workload = experiment.workload
        self._experiment, self._model = experiment, workload.model
        self._observer = Observer(workload.model, experiment.first_inputs(), workload.run)
        self.samples: dict[str, int] = {}
        for batch in experiment.golden(REPORTED).batches:
            for name, found in self._batch(batch, None, 0).sites.items():
                self.samples[name] = self.samples.get(name, 0) + len(found.changed)

    def observe(self, trial: Trial) -> Mapping[str, Summary]:
        """By site, in the order of the golden pass, how far it strayed over all samples."""
        found: dict[str, list[Deviation]] = {name: [] for name in self.samples}
        offset = 0
        for batch in self._experiment.samples(trial):
            for name, part in self._batch(batch, trial.faults, offset).sites.items():
                found.setdefault(name, []).append(part)
            offset += batch.size
        return {name: summary_of(joined(parts)) for name, parts in found.items()}

    def _batch(self, batch: Batch, faults: FaultSet | None, offset: int) -> Observation:
        inputs = batch.to(self._experiment.device).inputs
        golden = self._observer.golden(inputs)
        if faults is None:
            return self._observer.compare(golden, inputs)
        injector = Injector(self._model, faults)
        try:
            injector.arm()
            injector.advance(offset)
            return self._observer.compare(golden, inputs)
        finally:
            injector.disarm()  # faults need not fire in every batch; the trial says if none did
