"""One trial whose memory never moves, so that a graph of it serves other faults and inputs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.faults import FaultSet, Site
from faultsim.kinds import When
from faultsim.ops import FaultSlots
from faultsim.run.replay.graph import capture
from faultsim.run.replay.prefix import Prefix
from faultsim.run.replay.values import Kept, overwrite
from faultsim.targets.inputs import sizes_of
from faultsim.targets.output_hooks import OutputHooks
from faultsim.targets.samples import Ints, strikes
from faultsim.targets.transient import module_of
from faultsim.workload.outputs import copied

OUTPUT_SLOTS = 4096
"""Words that one trial may strike in a module's output, for one batch."""


@dataclass
class _Output:
    """A module's output that is struck, where every replay finds it."""

    tensor: torch.Tensor
    slots: FaultSlots


class StaticTrial:
    """Strike, run from a cut on, restore, as a graph: for one size of batch."""

    def __init__(
        self,
        model: nn.Module,
        prefix: Prefix,
        slots: FaultSlots,
        inputs: Any,
        kept: Kept,
        cut: int,
        sites: frozenset[str],
        when: When = "after",
    ) -> None:
        """Captures the trial.

        Args:
            model: The model.
            prefix: Its golden values.
            slots: Of the weights; empty now.
            inputs: Of one batch.
            kept: Its golden values.
            cut: Where the trial begins.
            sites: Names of the module outputs that are struck.
            when: Whether after the user's own hooks, or before.

        Raises:
            Exception: The model cannot be captured.
            Unkept: A value is read that the golden run did not read.
        """
        self._model, self._prefix, self._slots, self._cut = model, prefix, slots, cut
        self._outputs: dict[str, _Output] = {}
        self._sites, self._when = sites, when
        self._inputs = copied(inputs)
        self._kept = prefix.copy(kept, cut)
        self._holds: Kept | None = kept
        self._output = copied(kept.output)
        self._graph = capture(self._work, next(trees.tensors(inputs)).device)

    def load(self, site: Site, faults: FaultSet, offset: int) -> Ints | None:
        """Makes the next replay strike a module's output.

        Args:
            site: The output.
            faults: Of that site.
            offset: Number of the batch's first sample.

        Returns:
            Rows of the faults that strike this batch; None if the model has no such output, or it
            has no slots for so many.
        """
        output = self._outputs.get(site.name)
        if output is None or output.tensor.dtype != site.format.dtype:
            return None
        shape = tuple(output.tensor.shape)
        rows, index = strikes(site, faults, shape, offset, sizes_of(self._inputs))
        if len(rows) > output.slots.size:
            return None
        table = faults[rows].table.copy()
        table[0], table[1] = 0, index
        output.slots.load(table)
        return rows

    def replay(self, inputs: Any, kept: Kept) -> Any:
        """The output for a batch under what the slots hold, on the device; does not wait for it."""
        if kept is not self._holds:
            self._holds = None  # until all of it is there
            overwrite(self._inputs, inputs)
            self._kept.take(kept)
            self._holds = kept
        self._graph.replay()
        return copied(self._output)

    def _work(self) -> None:
        with ExitStack() as undo, torch.no_grad():
            if self._sites:
                modules = {module_of(site) for site in self._sites}
                hooks = OutputHooks(self._model, self._visit, modules, self._when)
                undo.callback(hooks.remove)
                hooks.register()
            undo.callback(self._restore_outputs)
            undo.callback(self._slots.restore)
            self._slots.strike()
            overwrite(self._output, self._prefix.forward(self._inputs, self._kept, self._cut))

    def _restore_outputs(self) -> None:
        for output in self._outputs.values():
            output.slots.restore()

    def _visit(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name not in self._sites:
            return tensor
        if name not in self._outputs:  # while warming up: a capture must not upload anything
            place = tensor.clone()
            self._outputs[name] = _Output(place, FaultSlots([place], OUTPUT_SLOTS, place.device))
        output = self._outputs[name]
        output.tensor.copy_(tensor)
        output.slots.strike()
        return output.tensor
