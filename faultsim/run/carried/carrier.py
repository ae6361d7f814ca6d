"""Carries faults in weights through one model, as far as that was seen to be exact."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from faultsim.faults import FaultSet, Site
from faultsim.run.carried.costs import Costs
from faultsim.run.carried.depth import Run
from faultsim.run.carried.moved import Moved
from faultsim.run.carried.pass_ import CarriedPass, Diverged
from faultsim.run.carried.probe import Plan, Refused, probe
from faultsim.run.carried.reading import Reading
from faultsim.run.carried.rows import samples_of
from faultsim.run.carried.sharing import LEAST, counts, ways
from faultsim.run.carried.storage import Undo, memory_of, struck_words
from faultsim.run.carried.tails import Tail, watched
from faultsim.run.carried.tries import Tries
from faultsim.run.golden import on_cpu
from faultsim.run.replay.calls import WHOLE
from faultsim.targets.untouched import untouched
from faultsim.targets.weights import Holder, hold
from faultsim.workload import Batch, Workload
from faultsim.workload.outputs import identical, shapes

Start = Callable[[int, Sequence[int]], Run]
"""Gets ready to run the batch prepared, from a cut on, with such a sample in each row."""


class Carried(NamedTuple):
    """A pass that carried faults.

    Attributes:
        output: Of the batch.
        spent: By row, processor time that its faults took.
        cut: Where it began.
    """

    output: Any
    spent: dict[int, float]
    cut: int


class Carrier:
    """Carries faults in weights through one model.

    Attributes:
        refused: Why none can be carried, "" if some can.
        alone: By name of a weight, why its faults are not carried; of those that were asked for.
    """

    def __init__(self, workload: Workload, inputs: Any) -> None:
        """Probes the model; each weight is tried when it is first struck.

        Args:
            workload: Its model is in eval mode.
            inputs: Of a batch, on the model's device.
        """
        self._workload, self.refused = workload, ""
        self.alone: dict[str, str] = {}
        self._ledger: list[Undo] = []
        self._holders: dict[Any, Holder] = {}
        self._readings: dict[Any, dict[int, Reading]] = {}
        self._moved: dict[Any, Moved] = {}
        self._tails: dict[Any, Tail] = {}
        self._tried: set[int] = set()
        self._signature: Any = None
        self._golden: Any = None
        self._plan: Plan | None = None
        try:
            self._plan = probe(workload.model, inputs, workload.run)
            self._tries = Tries(workload, self._plan, self._ledger)
        except Refused as reason:
            self.refused = str(reason)

    def prepare(self, inputs: Any, batch: Batch, golden: Any) -> None:
        """Finds out once for batches of a size what operators cost, by a golden pass.

        Args:
            inputs: Of the batch, on the device.
            batch: It.
            golden: Its golden output, on the CPU.
        """
        self._signature, self._golden = (batch.size, shapes(inputs)), golden
        if self._plan is None or self._signature in self._readings:
            return
        self._readings[self._signature] = {}
        moved = Moved(batch.size, self._plan.funcs, self._plan.axes)
        if batch.size >= LEAST:  # of a small batch a few rows would tell little
            with suppress(Exception), untouched(self._workload.model):
                moved.keep(partial(self._workload.run, inputs))
        self._moved[self._signature] = moved
        for mixes, samples in ways(batch.size, batch.size, moved.possible):
            costs = Costs(self._plan.funcs, self._plan.readings, batch.size)
            tail = Tail(self._plan.funcs, 0, 0, mixes)
            with suppress(Diverged, *((Exception,) if mixes else ())):
                given = samples_of(inputs, batch.size, samples) if mixes else inputs
                run = partial(self._workload.run, given)
                with untouched(self._workload.model):
                    with costs:
                        output = run()
                    agrees = not mixes or moved.agrees(run, tail, samples)
                if agrees and self._is_golden(output, samples):
                    self._readings[self._signature] = costs.readings
                    self._tails[self._signature, WHOLE, batch.size] = tail
                    return

    def _is_golden(self, output: Any, samples: Sequence[int]) -> bool:
        """Whether the output of a golden pass is as known, the samples in rows as given."""
        return identical(samples_of(self._golden, self._signature[0], samples), on_cpu(output))

    def carries(self, faults: FaultSet) -> bool:
        """Whether faults can be carried in batches of the size prepared."""
        if self._plan is None or not self._readings[self._signature]:
            return False
        return all(self._carries(self._plan, site) for site, _ in faults.by_site())

    def _carries(self, plan: Plan, site: Site) -> bool:
        holder = self._holder(site)
        reason = "its words are packed" if holder.packed else ""
        address = memory_of(holder.tensor)
        if not reason and address not in plan.readers:
            reason = plan.alone.get(address, "no operator was seen to read it")
        reason = reason or plan.alone.get(address, "")
        if not reason and address not in self._tried:
            self._tried.add(address)
            if reason := self._tries.why_not(site.name, holder.tensor):
                plan.alone[address] = reason
        if reason:
            self.alone[site.name] = reason
        return not reason

    def _holder(self, site: Any) -> Holder:
        if site not in self._holders:
            self._holders[site] = hold(self._workload.model, [site])[0]
        return self._holders[site]

    def mixes(self, start: Start, cut: int, count: int) -> bool:
        """Whether a pass of so many rows may have any samples of the batch prepared in any row."""
        return self._tail(start, cut, count).mixes

    def run(
        self, faults: Mapping[int, FaultSet], start: Start, cut: int, samples: Sequence[int]
    ) -> Carried:
        """One pass of the batch prepared.

        Args:
            faults: By row, what it carries.
            start: Begins it.
            cut: From where on, if faults can be carried so; else all of the model runs.
            samples: In each row.

        Raises:
            Diverged: The pass did other than was planned.
        """
        assert self._plan is not None
        began = time.process_time()
        patches = struck_words(self._holder, faults)
        each = (time.process_time() - began) / len(faults)
        numbers = {number for address in patches for number in self._plan.readers[address]}
        size, count = self._signature[0], len(samples)
        tail = self._tail(start, cut, count)
        if min(numbers, default=tail.first) < tail.first:
            tail, cut = self._tail(start, WHOLE, count), WHOLE
        if not tail.mixes and list(samples) != list(range(size)):
            raise Diverged
        wanted = {number: self._readings[self._signature][number] for number in numbers}
        readings = {number - tail.before: r.short(size, count) for number, r in wanted.items()}
        carried = CarriedPass(tail.funcs, readings, patches, count, self._ledger)
        output = carried.run(start(cut, samples))
        spent = {row: each + carried.spent.get(row, 0.0) for row in faults}
        return Carried(output, spent, cut)

    def _tail(self, start: Start, cut: int, count: int) -> Tail:
        """The operators from a cut on; the first to ask runs a golden pass.

        That has few rows, where another of as many as are asked for began no later.
        """
        key = self._signature, cut, count
        if key not in self._tails:
            fewest = counts(self._signature[0])[-1]
            known = self._mixed_before(cut, count)
            tail = self._tail(start, cut, fewest) if known and count > fewest else None
            seen = tail if tail and tail.mixes else self._seen(start, cut, count, known)
            self._tails[key] = seen
        return self._tails[key]

    def _mixed_before(self, cut: int, count: int) -> bool:
        """Whether samples could be moved in so many rows that ran all that follows a cut."""
        known = (key for key, tail in self._tails.items() if tail.mixes)
        return any((of, n) == (self._signature, count) and at <= cut for of, at, n in known)

    def _seen(self, start: Start, cut: int, count: int, known: bool) -> Tail:
        """The operators from a cut on, by a golden pass; that samples move may be known of them."""
        assert self._plan is not None
        funcs, moved = self._plan.funcs, self._moved[self._signature]
        for mixes, samples in ways(self._signature[0], count, moved.possible):
            with suppress(Exception):  # it is met again from the start, if it is the model's
                tail, output = watched(start(cut, samples), funcs)
                agrees = known or not mixes or moved.agrees(start(cut, samples), tail, samples)
                if agrees and self._is_golden(output, samples):
                    return tail._replace(mixes=mixes)
        return Tail((), 0, len(funcs))
