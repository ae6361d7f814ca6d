"""Prefix replay: a trial runs only what its faults can reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import nn

from faultsim import trees
from faultsim.faults import FaultSet
from faultsim.formats import FORMATS
from faultsim.run.replay.calls import Calls
from faultsim.run.replay.cuts import choose_cuts
from faultsim.run.replay.forwards import Forward, open_modules, other_forwards
from faultsim.run.replay.trace import watch
from faultsim.run.replay.values import Absent, Kept, Unkept, absent, can_be_kept, copied

MEMORY = 1 << 30
"""Bytes that the golden values of one split may take; its images may take as many on a device."""

SAMPLE = 8
"""Images of the pass in which a model is watched."""

WHOLE = 0
"""The cut before which nothing runs."""


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
    """

    def __init__(self, model: nn.Module, images: torch.Tensor, total: int) -> None:
        """Watches a golden pass, chooses the cuts, and drops those that do not prove exact.

        Args:
            model: Any module, on the device of the images.
            images: The first batch.
            total: Images of the split.
        """
        self._model = model
        self._modules = open_modules(model)
        self._batches: list[Kept | None] = []
        self._device = images.device
        self._holds_images = images[0].nbytes * total <= MEMORY
        self.cuts: list[int] = []
        self._calls = Calls((), {}, (0.0,))
        self._skipped: dict[int, dict[str, list[int]]] = {WHOLE: {}}
        if self._modules:
            self._watch(images, total)

    def _watch(self, images: torch.Tensor, total: int) -> None:
        sample = images[:SAMPLE].clone()  # a model may change its images
        devices = [] if images.is_cpu else [images.device]
        with torch.no_grad(), torch.random.fork_rng(devices):
            golden = self._model(sample)  # first, for a model may keep what it computes once
            _, self._calls = watch(self._model, self._modules, sample)
            cuts = choose_cuts(self._calls, MEMORY / total * len(sample))
            self._skipped = {cut: self._positions(cut) for cut in (WHOLE, *cuts)}
            self.cuts = cuts
            self.cuts = self._exact(golden, sample)

    def _positions(self, cut: int) -> dict[str, list[int]]:
        """By module, the calls that a run from ``cut`` on skips."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for position, call in enumerate(self._calls.calls):
            if call.skipped(cut):
                found[call.module].append(position)
        return dict(found)

    def _exact(self, golden: torch.Tensor, sample: torch.Tensor) -> list[int]:
        """The cuts from which a golden run gives the golden output.

        Other images go through the model before, and the last cut comes first: what a module that
        is skipped left behind for others would show.
        """
        watched = self.record(sample)
        kept = self._batches.pop()
        if kept is None or not same_bits(golden, watched):
            return []
        self._model(sample.flip(0, -1))
        exact = [cut for cut in self.cuts[::-1] if self._repeats(golden, sample, kept, cut)]
        return exact[::-1]

    def _repeats(self, golden: torch.Tensor, sample: torch.Tensor, kept: Kept, cut: int) -> bool:
        try:
            return same_bits(golden, self.forward(sample, kept, cut))
        except (Unkept, Exception):
            return False

    def record(self, images: torch.Tensor) -> torch.Tensor:
        """The golden output for the next batch; keeps what crosses the cuts.

        A batch that takes another way through the model than the one watched first is never cut.
        """
        seen = _Seen({}, {})
        usual, output = self._watched(images, seen) if self.cuts else (True, None)
        if output is None:
            output = self._model(images)
        held = images if self._holds_images else None
        usual = usual and can_be_kept(output)
        kept = Kept(images.shape, held, *seen, copied(output)) if usual else None
        self._batches.append(kept)
        return output

    def _watched(self, images: torch.Tensor, seen: _Seen) -> tuple[bool, torch.Tensor | None]:
        """Whether the way is the usual one, and the output; None if it cannot be watched."""
        try:
            output, calls = watch(self._model, self._modules, images, partial(self._keep, seen))
        except Exception:  # an error of the model's own will be met again
            return False, None
        return calls.same_way(self._calls), output

    def _keep(self, seen: _Seen, position: int, output: Any) -> None:
        call = self._calls.calls[position] if position < len(self._calls.calls) else None
        if call is None or not can_be_kept(output):
            return
        if any(call.needed(cut) for cut in self.cuts):
            seen.outputs[position] = copied(output)
        if any(call.skipped(cut) for cut in self.cuts):
            seen.absent[position] = absent(output)

    def kept(self, number: int, images: torch.Tensor) -> Kept | None:
        """The golden values of a batch, by its number in the order recorded.

        None if it is of fewer images than were recorded: in a smaller batch, each might be rounded
        otherwise. None too if the batch took another way through the model than the pass watched.
        """
        kept = self._batches[number]
        return kept if kept is not None and kept.shape == images.shape else None

    def images(self, number: int, images: torch.Tensor) -> torch.Tensor:
        """A batch on the device, where it may have stayed since it was recorded."""
        kept = self.kept(number, images)
        return images.to(self._device) if kept is None or kept.images is None else kept.images

    def cut(self, faults: FaultSet) -> int:
        """The last cut before any of the faults."""
        reach = self._calls.reach(faults)
        return max(cut for cut in (WHOLE, *self.cuts) if cut <= reach)

    def copy(self, kept: Kept, cut: int) -> Kept:
        """A copy of what a run from ``cut`` on is handed."""
        positions = [position for calls in self._skipped[cut].values() for position in calls]
        needed = [at for at in positions if self._calls.calls[at].needed(cut)]
        outputs = {at: kept.copy(at) for at in needed if at in kept.outputs}
        return Kept(kept.shape, None, outputs, kept.absent, kept.logits)

    def run(self, number: int, images: torch.Tensor, faults: FaultSet) -> torch.Tensor:
        """The output for a batch while faults are armed.

        Args:
            number: Of the batch, in the order recorded.
            images: The batch.
            faults: What is armed.
        """
        kept = self.kept(number, images)
        if kept is not None:
            try:
                return self.forward(images, kept, self.cut(faults))
            except (Unkept, Exception):  # an error of the model's own will be met again
                pass
        output: torch.Tensor = self._model(images)
        return output

    def forward(self, images: torch.Tensor, kept: Kept, cut: int) -> torch.Tensor:
        """The output of a run that begins at a cut.

        Raises:
            Unkept: A value is read that the golden run did not read.
        """
        skipped = self._skipped[cut]

        def around(name: str, forward: Forward) -> Forward:
            left: Iterator[int] = iter(skipped[name])

            def replayed(*args: Any, **kwargs: Any) -> Any:
                position = next(left, None)
                if position is None:
                    return forward(*args, **kwargs)
                return self._handed(kept, position, cut, (args, kwargs))

            return replayed

        with other_forwards({name: self._modules[name] for name in skipped}, around):
            output: torch.Tensor = self._model(images)
        return output

    def _handed(self, kept: Kept, position: int, cut: int, given: Any) -> Any:
        """What a call that is skipped returns: of its arguments one, where it did so before."""
        call = self._calls.calls[position]
        if call.argument is not None:
            argument = next(islice(trees.tensors(given), call.argument, None), None)
            if argument is None:
                raise Unkept
            if not call.writes:
                return argument
            if not isinstance(argument, Absent):
                return kept.into(argument, position)
        return kept.copy(position) if call.needed(cut) else kept.stand_in(position)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are of one dtype and shape, and equal bit by bit."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    word = FORMATS[one.dtype].word
    return torch.equal(one.view(word), other.view(word))
