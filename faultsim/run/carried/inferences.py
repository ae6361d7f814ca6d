"""Pairs of faults and samples, shared out over passes: each sample of a batch with its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from faultsim.errors import FaultError, InjectionError
from faultsim.faults import FaultSet, Site
from faultsim.injector import Injector
from faultsim.kinds import When
from faultsim.run.carried.carrier import Carrier
from faultsim.run.carried.depth import Depth, Extent
from faultsim.run.carried.gains import Gains
from faultsim.run.carried.rows import has_rows, one_of, one_sample, samples_of
from faultsim.run.carried.sharing import Rows, Trial, counts, passes, placed
from faultsim.run.golden import Golden, on_cpu
from faultsim.run.judge import Raised
from faultsim.run.replay.calls import WHOLE
from faultsim.workload import Batch, Workload
from faultsim.workload.failures import NOT_ITS_OWN
from faultsim.workload.outputs import identical

START = 12
"""Faults in weights that are met before the model is probed: that takes about as many passes."""

Pair = tuple[FaultSet, int]
"""Faults, and the number of the sample that carries them, over all batches."""


class Inference(NamedTuple):
    """One sample under faults of its own, as a batch of one.

    Attributes:
        batch: The sample.
        golden: The output without faults.
        output: The output with them, of the bits that the whole batch gives with the faults in the
            model; :class:`Raised` where the pass raises.
        alone: Whether the faults had a pass for themselves, really armed.
    """

    batch: Batch
    golden: Any
    output: Any
    alone: bool


_Pass = Callable[[int, Any, Rows], Any]


class Inferences:
    """Runs pairs of faults and samples of one golden run.

    Faults in weights are carried by samples (:mod:`faultsim.run.carried`); those that strike during
    a pass strike their sample alone anyway. What cannot be carried, or was measured to be slower
    so, has a pass of the batch for itself. Faults are sorted, so that a pass begins behind the last
    cut before any of its own. A sample that carries several has several rows of one pass, where
    each was seen to get its bits in any row. Nothing that is returned depends on which of these it
    was, or on the other pairs.

    Attributes:
        refused: Why no weight's fault can be carried, "" if some can.
        alone: By name of a weight, why its faults are not carried; of those met so far.
        passes: How many were run with faults.
        distrusted: How many passes were run again fault by fault, as they raised, did other than
            planned, or changed a sample without a fault.
    """

    def __init__(
        self,
        workload: Workload,
        golden: Golden,
        device: torch.device | str = "cpu",
        when: When = "after",
        *,
        measured: bool = True,
    ) -> None:
        """Probes the model by some passes, once enough faults in weights are asked for.

        Args:
            workload: Its model is in eval mode, on ``device``.
            golden: Its golden run.
            device: Where it runs.
            when: Whether faults strike after the user's hooks, or before.
            measured: Whether faults are carried only where that was measured to be faster than a
                flip; else all that can be are.

        Raises:
            FaultError: The outputs cannot be read sample by sample.
        """
        self._workload, self._golden, self._when = workload, golden, when
        self._device, self._measured = torch.device(device), measured
        self._starts = np.cumsum([0, *(batch.size for batch in golden.batches)])
        for batch, output in zip(golden.batches, golden.outputs, strict=True):
            if batch.size > 1 and not has_rows(output, batch.size):
                raise FaultError(
                    "the output has no row for each sample, so none can have a fault of its own: "
                    "give batches of one sample"
                )
        self._carrier: Carrier | None = None
        self._depth = Depth(workload, golden)
        self._gains, self._met, self._deep = Gains(self._depth.left), set[Site](), True
        self._asked = self.passes = self.distrusted = 0

    @property
    def refused(self) -> str:
        return self._carrier.refused if self._carrier else ""

    @property
    def alone(self) -> Mapping[str, str]:
        return self._carrier.alone if self._carrier else {}

    def run(self, pairs: Sequence[Pair]) -> list[Inference]:
        """What becomes of each pair.

        Args:
            pairs: Any number; those that share a batch share passes. The more there are at a
                time, the fuller the passes.

        Raises:
            FaultSimError: Faults that do not fit the model, or that never fired; a sample that
                there is not.
        """
        found: list[Inference | None] = [None] * len(pairs)
        queues: dict[int, list[tuple[int, FaultSet, int]]] = {}
        for number, (faults, sample) in enumerate(pairs):
            if not 0 <= sample < self._starts[-1]:
                raise FaultError(f"there are samples 0 to {self._starts[-1] - 1}, not {sample}")
            batch = int(np.searchsorted(self._starts, sample, side="right")) - 1
            place = int(sample - self._starts[batch])
            queues.setdefault(batch, []).append((number, faults, place))
        with torch.no_grad():
            for batch, queue in queues.items():
                inputs = self._golden.engine.inputs(batch, self._golden.batches[batch].inputs)
                trials = [self._trial(batch, inputs, *each) for each in queue]
                for trial, inference in self._batch(batch, inputs, trials):
                    found[trial.number] = inference
        return [inference for inference in found if inference is not None]

    def _trial(self, batch: int, inputs: Any, number: int, faults: FaultSet, sample: int) -> Trial:
        self._depth.prepare(faults)
        sites = tuple(site for site, _ in faults.by_site())
        return Trial(number, faults, sample, sites, self._depth.cut(batch, inputs, faults))

    def _batch(
        self, batch: int, inputs: Any, trials: Sequence[Trial]
    ) -> Iterator[tuple[Trial, Inference]]:
        self._asked += sum(trial.sites[0].kind == "weights" for trial in trials if trial.sites)
        weights, transient, alone = self._sorted(batch, inputs, trials)
        for trial in alone:
            yield trial, self._alone(batch, inputs, trial)
        for together in passes(transient, self._golden.batches[batch].size):
            size = self._golden.batches[batch].size
            yield from self._together(self._struck, batch, inputs, together, size)
        start, self._deep = time.process_time(), not self._measured or self._gains.sorts
        yield from self._weights(batch, inputs, weights if self._deep else _as_given(weights))
        if len(weights) >= self._golden.batches[batch].size:
            self._gains.ordered(self._deep, (time.process_time() - start) / len(weights))

    def _weights(
        self, batch: int, inputs: Any, left: Sequence[Trial]
    ) -> Iterator[tuple[Trial, Inference]]:
        """Of trials in weights those that can be carried; in the order that is given."""
        flipped = sorted(left, key=lambda trial: -trial.cut)  # the shortest passes first
        flipped = flipped[: self._gains.lacking if self._measured else 0]
        yield from ((trial, self._alone(batch, inputs, trial)) for trial in flipped)
        left = _without(left, flipped)
        if self._measured:
            gains = self._gains
            slower = [t for t in left if not gains.pays(Extent(t.cut), t.sites)]
            yield from ((trial, self._alone(batch, inputs, trial)) for trial in slower)
            left = _without(left, slower)
        while left:
            some, count = self._filling(batch, inputs, left)
            if self._pays(batch, some, count):
                yield from self._together(self._carried, batch, inputs, some, count)
            else:
                yield from ((trial, self._alone(batch, inputs, trial)) for trial in some)
            left = _without(left, some)

    def _sorted(
        self, batch: int, inputs: Any, trials: Sequence[Trial]
    ) -> tuple[list[Trial], list[Trial], list[Trial]]:
        """Those carried in weights, those that strike during a pass, those that go alone."""
        weights: list[Trial] = []
        transient: list[Trial] = []
        alone: list[Trial] = []
        for trial in sorted(trials, key=lambda trial: trial.cut):
            kinds = {site.kind == "weights" for site in trial.sites}
            size = self._golden.batches[batch].size
            if size == 1 or len(kinds) != 1:
                alone.append(trial)
            elif kinds == {False}:
                own = all(site.per_sample for site in trial.sites)
                (transient if own else alone).append(trial)
            else:
                (weights if self._carries(batch, inputs, trial) else alone).append(trial)
        return weights, transient, alone

    def _carries(self, batch: int, inputs: Any, trial: Trial) -> bool:
        """Whether faults in weights can be carried; a weight is looked at when that may pay."""
        new = not self._met.issuperset(trial.sites)
        self._met.update(trial.sites)
        waits = self._asked < START or (new and not self._gains.tries(Extent(trial.cut)))
        if self._measured and waits:
            return False
        if self._carrier is None:
            self._carrier = Carrier(self._workload, inputs)
        self._carrier.prepare(inputs, self._golden.batches[batch], self._golden.outputs[batch])
        if not new:
            return self._carrier.carries(trial.faults)
        start, carries = time.process_time(), self._carrier.carries(trial.faults)
        self._gains.tried(time.process_time() - start)
        return carries

    def _pays(self, batch: int, trials: Sequence[Trial], count: int) -> bool:
        """Whether a pass shall carry them all, rather than have each in the model."""
        extent = Extent(self._first(trials), count / self._golden.batches[batch].size)
        each = [(Extent(trial.cut), trial.sites) for trial in trials]
        return not self._measured or self._gains.pass_pays(extent, each)

    def _filling(
        self, batch: int, inputs: Any, trials: Sequence[Trial]
    ) -> tuple[Sequence[Trial], int]:
        """Those that share the next pass, and its rows: where samples can move, the first trials.

        And then as many as is cheapest for each.
        """
        assert self._carrier is not None
        size, cut = self._golden.batches[batch].size, self._first(trials)
        begin = partial(self._depth.run_from, batch, inputs)

        def each(count: int) -> float:
            return self._gains.bare(Extent(cut, count / size)) / min(count - 1, len(trials))

        for count in sorted(counts(size), key=each):
            if self._carrier.mixes(begin, cut, count):
                return trials[: count - 1], count
        return passes(trials, size)[0], size

    def _together(
        self, run: _Pass, batch: int, inputs: Any, trials: Sequence[Trial], count: int
    ) -> Iterator[tuple[Trial, Inference]]:
        """One pass; in halves, and at last one by one, where it cannot be trusted."""
        size = self._golden.batches[batch].size
        output, rows = None, placed(trials, size, count)
        with suppress(Exception):
            self.passes += 1
            output = run(batch, inputs, rows)
        if output is not None and self._trusted(batch, output, rows):
            for row, trial in rows.trials.items():
                mine = one_sample(output, count, row)
                yield trial, self._inference(batch, trial, mine, alone=False)
            return
        self.distrusted += 1
        if len(trials) == 1:
            yield trials[0], self._alone(batch, inputs, trials[0])
            return
        half = len(trials) // 2
        for part in (trials[:half], trials[half:]):
            yield from self._together(run, batch, inputs, part, size)

    def _carried(self, batch: int, inputs: Any, rows: Rows) -> Any:
        """The output of a pass that carries faults in weights."""
        assert self._carrier is not None
        start, first = time.process_time(), self._first([*rows.trials.values()])
        faults = {row: trial.faults for row, trial in rows.trials.items()}
        begin = partial(self._depth.run_from, batch, inputs)
        found = self._carrier.run(faults, begin, first, rows.samples)
        output = on_cpu(found.output)
        sites = {row: trial.sites for row, trial in rows.trials.items()}
        extent = Extent(found.cut, len(rows.samples) / self._golden.batches[batch].size)
        self._gains.carried(extent, time.process_time() - start, found.spent, sites)
        return output

    def _first(self, trials: Sequence[Trial]) -> int:
        """Where a pass that carries some faults begins."""
        return min(trial.cut for trial in trials) if self._deep else WHOLE

    def _struck(self, batch: int, inputs: Any, rows: Rows) -> Any:
        """The output of a pass in which faults strike a sample each."""
        merged = FaultSet.join([_struck_in(trial) for trial in rows.trials.values()])
        return self._armed(batch, inputs, merged)

    def _trusted(self, batch: int, output: Any, rows: Rows) -> bool:
        """Whether every row without a fault is as its sample was."""
        size, count = self._golden.batches[batch].size, len(rows.samples)
        if not has_rows(output, count):
            return False
        free, samples = rows.free, [rows.samples[row] for row in rows.free]
        golden = samples_of(self._golden.outputs[batch], size, samples)
        return identical(golden, samples_of(output, count, free))

    def _alone(self, batch: int, inputs: Any, trial: Trial) -> Inference:
        faults = trial.faults
        if any(site.kind != "weights" and site.per_sample for site, _ in faults.by_site()):
            faults = _struck_in(trial)
        self.passes, start = self.passes + 1, time.process_time()
        try:
            output = self._armed(batch, inputs, faults)
        except NOT_ITS_OWN:
            raise
        except Exception:  # a fault that makes the forward pass raise is a detected error
            output = Raised()
        if trial.sites[0].kind == "weights":
            self._gains.flipped(Extent(trial.cut), time.process_time() - start)
        size = self._golden.batches[batch].size
        if not isinstance(output, Raised):
            if not has_rows(output, size) and size > 1:
                raise InjectionError(
                    "the output lost its rows under a fault, so none is a sample's"
                )
            output = one_sample(output, size, trial.sample)
        return self._inference(batch, trial, output, alone=True)

    def _armed(self, batch: int, inputs: Any, faults: FaultSet) -> Any:
        """The output of the batch with the faults in the model."""
        with Injector(self._workload.model, faults, when=self._when) as injector:
            fed = injector.feed(inputs)
            output = on_cpu(self._golden.engine.run(batch, fed, faults))
            injector.advance(self._golden.batches[batch].size)
        return output

    def _inference(self, batch: int, trial: Trial, output: Any, *, alone: bool) -> Inference:
        """What became of a trial, by the output of its sample."""
        whole, sample = self._golden.batches[batch], trial.sample
        golden = one_sample(self._golden.outputs[batch], whole.size, sample)
        return Inference(one_of(whole, sample), golden, output, alone)


def _struck_in(trial: Trial) -> FaultSet:
    """The faults of a trial in its sample alone."""
    faults = trial.faults
    own = np.array([site.kind != "weights" and site.per_sample for site in faults.sites], bool)
    sample = np.where(own[faults.site], trial.sample, -1)
    of_set = (faults.site, faults.index, faults.mask, faults.op, faults.operand)
    return FaultSet(faults.sites, *of_set, sample, faults.step, faults.random)


def _without(trials: Sequence[Trial], done: Sequence[Trial]) -> list[Trial]:
    numbers = {trial.number for trial in done}
    return [trial for trial in trials if trial.number not in numbers]


def _as_given(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: trial.number)
