"""An experiment: a workload, its golden runs, and the trials that are compared with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from faultsim.errors import ConfigError, InjectionError
from faultsim.kinds import When
from faultsim.models import model_digest
from faultsim.models.loading import evaluating
from faultsim.run.attack import Attack
from faultsim.run.carried.trials import InferenceTrials
from faultsim.run.engine import WholePass, make_engine
from faultsim.run.golden import Golden, golden_run
from faultsim.run.gradients import Gradients
from faultsim.run.judge import judge
from faultsim.run.outcome import Outcome
from faultsim.run.replay import Prefix
from faultsim.run.runner import Runner
from faultsim.run.search import Search
from faultsim.run.single import SinglePasses
from faultsim.run.soundness import check_sound
from faultsim.run.trial import Trial
from faultsim.workload import Batch, Workload
from faultsim.workload.workload import REPORTED, SEARCHED

SEARCHES = (
    ", at which a search looks: give Workload(…, search=batches), or data={'val': …, 'test': …}; "
    "a mode that draws its faults, as random, needs none"
)


class Experiment:
    """Runs trials of one workload.

    Attributes:
        workload: Its model is in eval mode, on ``device``.
        device: Where the model runs.
        attack: What happens to the images, None for nothing.
        digest: Of the model before the first trial.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        batch_size: int = 128,
        limit: int | None = None,
        device: torch.device | str = "cpu",
        attack: Attack | None = None,
        replay: bool = True,
        allow_unsound: bool = False,
        when: When = "after",
    ) -> None:
        """Moves the model to the device; nothing is run yet.

        Args:
            workload: A model, batches and a task.
            batch_size: Samples in a batch, where batches are not given as such.
            limit: How many samples of each split, from the first; None for all.
            device: Where the model runs.
            attack: What happens to the images, None for nothing.
            replay: Whether a trial runs only what its faults can reach; outcomes are the same.
            allow_unsound: Whether to go on where a golden run is not finite or not repeatable.
            when: Whether faults strike after the user's own hooks of a module, or before.

        Raises:
            ConfigError: A parameter of the model has no value yet.
        """
        _check_initialised(workload.model)
        self.workload, self.device, self.attack = workload, torch.device(device), attack
        evaluating(workload.model.to(self.device))
        self.digest = model_digest(workload.model)
        self._batch_size, self._limit, self._replay = batch_size, limit, replay
        self._allow_unsound, self._when = allow_unsound, when
        self._batches: dict[str, list[Batch]] = {}
        self._clean: dict[str, Runner] = {}
        self._attacked: dict[str, Runner] = {}

    def batches(self, split: str) -> list[Batch]:
        """The batches of ``test`` or ``val``, on the CPU; there may be none."""
        if split not in self._batches:
            self._batches[split] = self.workload.read(split, self._batch_size, self._limit)
        return self._batches[split]

    def clean(self, split: str) -> Golden:
        """The golden run on the samples as they are; errors as :meth:`golden`."""
        return self._runner(split, self._clean).golden

    def golden(self, split: str) -> Golden:
        """The golden run on ``test`` or ``val``, computed once; on perturbed images under attack.

        Raises:
            ConfigError: The split is empty, the model fails, its output does not fit the task, or
                is not finite or not repeated by a second pass.
        """
        return self._main(split).golden

    def _main(self, split: str) -> Runner:
        return self._runner(split, self._attacked if self.attack else self._clean)

    def _runner(self, split: str, runners: dict[str, Runner]) -> Runner:
        if split not in runners:
            batches: Sequence[Batch] = self.batches(split)
            if not batches:
                missing = f"{self.workload.name} has no {split} {self.workload.unit}"
                raise ConfigError(missing + SEARCHES * (split == SEARCHED))
            if runners is self._attacked and self.attack is not None:
                clean = self.clean(split)  # first, for its errors
                batches = self.attack.once(self.workload, clean.batches, self.device)
            golden = self._run(list(batches))
            runners[split] = Runner(self.workload, golden, self.device, self._when)
        return runners[split]

    def _run(self, batches: list[Batch]) -> Golden:
        engine = make_engine(self.workload, batches, self.device, replay=self._replay)
        golden = golden_run(self.workload, batches, engine)
        if not self._allow_unsound:
            check_sound(self.workload, golden, self.device)
        return golden

    def replays(self, split: str) -> bool:
        """Whether the model can be cut, so that trials need not run all of it."""
        engine = self.golden(split).engine
        return isinstance(engine, Prefix) and len(engine.cuts) > 0

    @property
    def lost(self) -> Mapping[str, str]:
        """What could have been faster by now, and why it is not."""
        runners = (*self._clean.values(), *self._attacked.values())
        return {what: why for r in runners for what, why in r.golden.engine.lost.items()}

    def baseline(self, split: str = REPORTED) -> Outcome:
        """The golden run as a trial without faults."""
        return self._judged(self.golden(split))

    def clean_baseline(self, split: str = REPORTED) -> Outcome:
        """The golden run on the samples as they are, as a trial without faults."""
        return self._judged(self.clean(split))

    def _judged(self, golden: Golden) -> Outcome:
        return judge(self.workload.task, golden, golden.outputs)

    def first_inputs(self) -> Any:
        """Inputs of the first batch of a trial, on the device."""
        return self.golden(REPORTED).batches[0].to(self.device).inputs

    def gradients(self) -> Gradients:
        """Gradients on the first batch that searches may look at.

        Raises:
            ConfigError: There is none, or the task has no loss.
        """
        batch = self.golden(SEARCHED).batches[0].to(self.device)
        return Gradients(self.workload, batch, self._when)

    def search(self) -> Search:
        """What a search may look at; errors as :meth:`gradients`."""
        task, gradients = self.workload.task, self.gradients()
        return Search(self.baseline(SEARCHED), task.objective, task.chance, gradients)

    def run(self, trial: Trial) -> Outcome:
        """Arms the faults, runs the samples, and disarms.

        Raises:
            FaultSimError: The faults do not fit the model, or one never fired.
        """
        if trial.sample is not None:
            return next(self.outcomes([trial]))
        searching = not trial.reports
        golden, outputs = self.outputs(trial)
        outcome = judge(self.workload.task, golden, outputs, searching=searching)
        if self.attack is None or searching:
            return outcome
        alone = self._alone(trial)
        return replace(outcome, metrics={**outcome.metrics, "clean_acc": alone.acc})

    def outputs(self, trial: Trial) -> tuple[Golden, list[Any]]:
        """The golden run on a trial's samples, and their outputs under its faults, on the CPU.

        Raises:
            FaultSimError: As :meth:`run`.
        """
        if self._adapts:
            return self._adapted(trial)
        runner = self._main(trial.split)
        return runner.golden.first(trial.images), runner.outputs(trial.faults, trial.images)

    def outcomes(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        """What becomes of each of some trials; those of one sample share passes.

        Args:
            trials: None depends on another's outcome.

        Raises:
            FaultSimError: As :meth:`run`.
        """
        for trial in trials:
            if trial.sample is None:
                yield self.run(trial)
            elif trial.alone:
                yield self.singles.run(trial.faults, trial.sample)
        pairs = [(t.faults, t.sample) for t in trials if t.sample is not None and not t.alone]
        yield from self.inferences.run(pairs) if pairs else ()

    @cached_property
    def inferences(self) -> InferenceTrials:
        """Trials of one sample in its batch, of the split that results come from."""
        golden = self.golden(REPORTED)
        return InferenceTrials(self.workload, golden, self.device, self._when)

    @cached_property
    def singles(self) -> SinglePasses:
        """Trials of one sample of the split that results come from."""
        golden = self.golden(REPORTED)  # on perturbed samples under attack
        replay = self._replay
        return SinglePasses(self.workload, golden, self.device, self._when, replay=replay)

    @property
    def _adapts(self) -> bool:
        return self.attack is not None and self.attack.adapts

    def samples(self, trial: Trial) -> Sequence[Batch]:
        """What a trial is run on: where attacks look at the faulty model, samples of its own."""
        if self.attack is None or not self.attack.adapts:
            return self.golden(trial.split).first(trial.images).batches
        clean = self.clean(trial.split).first(trial.images)
        return self.attack.anew(self.workload, clean.batches, trial.faults, self.device)

    def _adapted(self, trial: Trial) -> tuple[Golden, list[Any]]:
        """The golden run and the outputs on images that were attacked with the faults armed."""
        batches = self.samples(trial)
        golden = golden_run(self.workload, batches, WholePass(self.workload, self.device))
        runner = Runner(self.workload, golden, self.device, self._when)
        return golden, runner.outputs(trial.faults)

    def _alone(self, trial: Trial) -> Outcome:
        """The faults on images that are not perturbed."""
        runner = self._runner(trial.split, self._clean)
        outputs = runner.outputs(trial.faults, trial.images)
        golden = runner.golden.first(trial.images)
        return judge(self.workload.task, golden, outputs, searching=True)

    def check_intact(self) -> None:
        """Raises InjectionError unless every word of the model is what it was at the start."""
        if model_digest(self.workload.model) != self.digest:
            raise InjectionError("the model changed during the campaign: its digest differs")


def _check_initialised(model: nn.Module) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise ConfigError(
                f"{name} has no value yet, as lazy layers have none: run the model once before"
            )
