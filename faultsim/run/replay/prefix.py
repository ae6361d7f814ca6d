"""Prefix replay: a trial runs only what its faults can reach."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from faultsim import trees
from faultsim.faults import FaultSet
from faultsim.run.replay.calls import WHOLE, Calls
from faultsim.run.replay.cuts import choose_cuts
from faultsim.run.replay.forwards import Forward, open_modules, other_forwards
from faultsim.run.replay.gains import NO_GAIN, that_pay
from faultsim.run.replay.handed import Handed, handed
from faultsim.run.replay.operations import operation_ticks
from faultsim.run.replay.trace import watch
from faultsim.run.replay.values import (
    Kept,
    Unkept,
    absent,
    can_be_kept,
    nbytes,
)
from faultsim.run.timing import timed
from faultsim.workload.failures import cause
from faultsim.workload.outputs import copied, same_bits, shapes

MEMORY = 1 << 30
"""Bytes that the golden values of one split may take; its inputs may take as many on a device."""

SAMPLE = 8
"""Samples of the pass in which a model is watched, where a batch can be cut."""

OTHER_WAY = "they take another way through the model than the first"
CACHED = "what one forward pass keeps for the next is at hand only in a run from the start"
UNKEPT = "the output holds what cannot be kept as a copy, such as a cache (use_cache=False)"

Run = Callable[[Any], Any]


class _Seen(NamedTuple):
    """What is kept of a pass, by position of the call."""

    outputs: dict[int, Any]
    absent: dict[int, Any]


class Prefix:
    """The golden values at the cuts of a model, for the batches of one split.

    A fault cannot change what runs before it, so a run may begin at the last cut before: the
    modules that ended by then return what they returned in the golden run. Where that is seen to
    differ from running them, there is no cut; a value that was not kept, because nobody was to read
    it, stops the run when it is read, and all of the model is run instead. So outputs are those of
    the whole model, bit by bit, for the same images in the same batch.

    Attributes:
        cuts: Ticks of the pass, ascending; a model that cannot be cut has none.
        lost: Where a run of part of the model was given up, and why.
        refuted: By cut, why a golden run from it was not exact.
        modules: Those whose calls can be seen, by name.
        calls: The golden pass in which the model was watched.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Any,
        total: int,
        *,
        run: Run | None = None,
        size: int | None = None,
        measured: bool = False,
    ) -> None:
        """Watches a golden pass, chooses the cuts, and drops those that do not prove exact.

        Args:
            model: Any module, on the device of the inputs.
            inputs: Of the first batch, a tree of tensors.
            total: Samples of the split.
            run: Inputs to output, of the model; by default calls it.
            size: Samples of the batch; None for the rows of its first tensor.
            measured: Whether cuts that do not pay are dropped, as a few runs from each tell. It
                decides about time alone: outputs are the same.
        """
        self._measured = measured
        self._run: Run = run or (lambda given: model(given))
        self._model = model
        self.modules = open_modules(model)
        self._batches: list[Kept | None] = []
        first = next(trees.tensors(inputs), torch.empty(0))
        self._device = first.device
        size = size or (len(first) if first.ndim else 1)
        self._holds_inputs = nbytes(inputs) / max(1, size) * total <= MEMORY
        self.cuts: list[int] = []
        self.lost: dict[str, str] = {}
        self._prepared = False
        self.refuted: dict[int, str] = {}
        self.calls = Calls((), {}, (0.0,))
        self._skipped: dict[int, dict[str, list[Handed | None]]] = {WHOLE: {}}
        if self.modules:
            self._watch(inputs, size, total)
        if not self.cuts:
            self.lost["all of it"] = self._why_whole()

    def _why_whole(self) -> str:
        if not self.modules:
            return "its modules cannot be watched: they are compiled, scripted, or none"
        if NO_GAIN in self.refuted.values():
            return "no part of it was measured to be faster than the whole"
        return "no place between its modules where all that is handed on can be kept and is exact"

    def _watch(self, inputs: Any, size: int, total: int) -> None:
        cut = isinstance(inputs, torch.Tensor) and len(inputs) == size > SAMPLE
        sample = copied(inputs[:SAMPLE] if cut else inputs)  # a model may change its inputs
        devices = [] if self._device.type == "cpu" else [self._device]
        with torch.no_grad(), torch.random.fork_rng(devices):
            golden = self._run(sample)  # first, for a model may keep what it computes once
            first, again = (self._seen_in(sample) for _ in range(2))
            self.calls = first.at_best(again)  # what a pass does once takes long, and misleads
            cuts = choose_cuts(self.calls, MEMORY / total * (SAMPLE if cut else size))
            self._skipped = {cut: self._met(cut) for cut in (WHOLE, *cuts)}
            self.cuts = cuts
            self.cuts = self._exact(golden, sample)

    def _seen_in(self, sample: Any) -> Calls:
        return watch(self._model, self.modules, sample, run=self._run)[1]

    def _met(self, cut: int) -> dict[str, list[Handed | None]]:
        """By module, what its calls return in a run from ``cut`` on; None for those it runs."""
        found: defaultdict[str, list[Handed | None]] = defaultdict(list)
        for position, call in enumerate(self.calls.calls):
            if call.met(cut):
                found[call.module].append(handed(call, position, cut))
        return {name: calls for name, calls in found.items() if any(c is not None for c in calls)}

    def _exact(self, golden: Any, sample: Any) -> list[int]:
        """The cuts from which a golden run gives the golden output.

        Other inputs go through the model before, and the last cut comes first: what a module that
        is skipped left behind for others would show.
        """
        watched = self.record(sample)
        kept = self._batches.pop()
        if kept is None or not same_bits(golden, watched):
            return []
        self._run(trees.map_tensors(sample, _other))
        exact: dict[int, float] = {}
        for cut in self.cuts[::-1]:
            run = partial(self._repeats, golden, sample, kept, cut)
            repeats, seconds = timed(run, self._device)
            if repeats:
                exact[cut] = seconds
        return self._paying(exact, sample, kept) if self._measured else sorted(exact)

    def _paying(self, exact: Mapping[int, float], sample: Any, kept: Kept) -> list[int]:
        """Those of the exact cuts that pay; a golden run from each took so many seconds."""
        parts = {cut: partial(self.forward, sample, kept, cut) for cut in exact}
        paying = that_pay(partial(self._run, sample), parts, exact, self._device)
        self.refuted |= dict.fromkeys(set(exact) - set(paying), NO_GAIN)
        return sorted(paying)

    def _repeats(self, golden: Any, sample: Any, kept: Kept, cut: int) -> bool:
        try:
            if same_bits(golden, self.forward(sample, kept, cut)):
                return True
            self.refuted[cut] = "a golden run from it did not give the golden output"
        except (Unkept, Exception) as error:
            self._lose("some cuts", error)
            self.refuted[cut] = _said(error)
        return False

    def _lose(self, what: str, error: BaseException) -> None:
        """Remembers, once, why a run of part of the model was given up."""
        self.lost.setdefault(what, _said(error))

    def record(self, inputs: Any) -> Any:
        """The golden output for the next batch; keeps what crosses the cuts.

        A batch that takes another way through the model than the one watched first is never cut.
        """
        seen = _Seen({}, {})
        usual, output = self._watched(inputs, seen) if self.cuts else (True, None)
        if output is None:
            output = self._run(inputs)
        held = inputs if self._holds_inputs else None
        keepable = can_be_kept(output)
        kept = Kept(shapes(inputs), held, *seen, copied(output)) if usual and keepable else None
        if kept is None:
            self.lost.setdefault("some batches", OTHER_WAY if keepable else UNKEPT)
        self._batches.append(kept)
        return output

    def _watched(self, inputs: Any, seen: _Seen) -> tuple[bool, Any]:
        """Whether the way is the usual one, and the output; None if it cannot be watched."""
        try:
            output, calls = watch(
                self._model, self.modules, inputs, partial(self._keep, seen), run=self._run
            )
        except Exception as error:  # an error of the model's own will be met again
            self._lose("some batches", error)
            return False, None
        return calls.same_way(self.calls), output

    def _keep(self, seen: _Seen, position: int, output: Any) -> None:
        call = self.calls.calls[position] if position < len(self.calls.calls) else None
        if call is None or not can_be_kept(output):
            return
        if any(call.needed(cut) for cut in self.cuts):
            seen.outputs[position] = copied(output)
        if any(call.skipped(cut) for cut in self.cuts):
            seen.absent[position] = absent(output)

    def kept(self, number: int, inputs: Any) -> Kept | None:
        """The golden values of a batch, by its number in the order recorded.

        None if it is of fewer samples than were recorded: in a smaller batch, each might be rounded
        otherwise. None too if the batch took another way through the model than the pass watched.
        """
        kept = self._batches[number] if number < len(self._batches) else None
        return kept if kept is not None and kept.shapes == shapes(inputs) else None

    def inputs(self, number: int, inputs: Any) -> Any:
        """A batch on the device, where it may have stayed since it was recorded."""
        kept = self.kept(number, inputs)
        if kept is not None and kept.inputs is not None:
            return kept.inputs
        return trees.map_tensors(inputs, lambda _, tensor: tensor.to(self._device))

    def prepare(self, faults: FaultSet, inputs: Any) -> None:
        """Sees, once, when functions run whose results faults strike. Nothing may be armed.

        Args:
            faults: Of a trial.
            inputs: Of the first batch, on the device.
        """
        if self.cuts and faults.of_kind("kv-cache"):
            self.lost.setdefault("faults in a cache", CACHED)
        if not self.cuts or self._prepared or not faults.of_kind("operations"):
            return
        self._prepared = True
        try:
            ticks = operation_ticks(self._model, self.modules, inputs, self.calls, self._run)
            self.calls = replace(self.calls, operations=ticks)
        except Exception as error:  # the calls of modules tell where they run
            self._lose("parts of modules", error)

    def cut(self, faults: FaultSet) -> int:
        """The last cut before any of the faults."""
        return self.cut_before(self.calls.reach(faults))

    def cut_before(self, reach: int) -> int:
        """The last cut up to a tick."""
        at = bisect_right(self.cuts, reach)
        return self.cuts[at - 1] if at else WHOLE

    def copy(self, kept: Kept, cut: int, copy: Callable[[Any], Any] = copied) -> Kept:
        """A copy of what a run from ``cut`` on is handed.

        Args:
            kept: Of a batch.
            cut: One of :attr:`cuts`.
            copy: Of one value.
        """
        needed = [at for at, call in enumerate(self.calls.calls) if call.needed(cut)]
        outputs = {at: copy(kept.outputs[at]) for at in needed if at in kept.outputs}
        return Kept(kept.shapes, None, outputs, kept.absent, kept.output)

    def run(self, number: int, inputs: Any, faults: FaultSet) -> Any:
        """The output for a batch while faults are armed.

        Args:
            number: Of the batch, in the order recorded.
            inputs: Of the batch.
            faults: What is armed.
        """
        cut = self.cut(faults)
        kept = self.kept(number, inputs) if cut != WHOLE else None
        if kept is not None:
            try:
                return self.forward(inputs, kept, cut)
            except (Unkept, Exception) as error:  # an error of the model's own is met again
                output = self._run(inputs)
                self._lose("some trials", error)
                return output
        return self._run(inputs)

    def forward(self, inputs: Any, kept: Kept, cut: int) -> Any:
        """The output of a run that begins at a cut.

        Raises:
            Unkept: A value is read that the golden run did not read.
        """
        skipped = self._skipped[cut]

        def around(name: str, forward: Forward) -> Forward:
            left = iter(skipped[name])

            def replayed(*args: Any, **kwargs: Any) -> Any:
                own = next(left, None)
                return forward(*args, **kwargs) if own is None else own(kept, (args, kwargs))

            return replayed

        with other_forwards({name: self.modules[name] for name in skipped}, around):
            return self._run(inputs)


def _said(error: BaseException) -> str:
    if isinstance(error, Unkept):
        return "a value was read that nobody read in the golden run"
    return cause(error)


def _other(_: str, tensor: torch.Tensor) -> torch.Tensor:
    """Another input of the same shape."""
    if not tensor.ndim or tensor.is_quantized:
        return tensor
    return tensor.flip(0, -1) if tensor.is_floating_point() else tensor.flip(0)
