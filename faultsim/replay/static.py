"""One trial whose memory never moves, so that a graph of it serves other faults and images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from faultsim.activations import OutputHooks
from faultsim.faults import FaultSet, Site
from faultsim.ops import FaultSlots
from faultsim.replay.graph import capture
from faultsim.replay.prefix import Prefix
from faultsim.replay.values import Kept, copied
from faultsim.transient import module_of

SLOTS = 4096
"""Words that one trial may strike in a module's output."""


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
        images: torch.Tensor,
        kept: Kept,
        cut: int,
        sites: frozenset[str],
    ) -> None:
        """Captures the trial.

        Args:
            model: The model.
            prefix: Its golden values.
            slots: Of the weights; empty now.
            images: One batch.
            kept: Its golden values.
            cut: Where the trial begins.
            sites: Names of the module outputs that are struck.

        Raises:
            Exception: The model cannot be captured.
            Unkept: A value is read that the golden run did not read.
        """
        self._model, self._prefix, self._slots, self._cut = model, prefix, slots, cut
        self._outputs: dict[str, _Output] = {}
        self._sites = sites
        self._images = images.clone()
        self._kept, self._holds = prefix.copy(kept, cut), kept
        self._logits = torch.empty_like(kept.logits)
        self._graph = capture(self._work, images.device)

    def load(self, site: Site, faults: FaultSet, index: npt.NDArray[np.int64]) -> bool:
        """Makes the next replay strike a module's output.

        Args:
            site: The output.
            faults: One for each word.
            index: Row-major positions in the whole output, pairwise.

        Returns:
            False if the model has no such output, or it has no slots for so many faults.
        """
        output = self._outputs.get(site.name)
        if output is None or len(faults) > output.slots.size:
            return False
        shape = output.tensor.shape[1:] if site.per_sample else output.tensor.shape
        if output.tensor.dtype != site.format.dtype or shape != site.shape:
            return False
        table = faults.table.copy()
        table[0], table[1] = 0, index
        output.slots.load(table)
        return True

    def replay(self, images: torch.Tensor, kept: Kept) -> torch.Tensor:
        """The output for a batch under what the slots hold, on the device; does not wait for it."""
        if kept is not self._holds:
            self._images.copy_(images)
            self._kept.take(kept)
            self._holds = kept
        self._graph.replay()
        return self._logits.clone()

    def _work(self) -> None:
        modules = {module_of(site) for site in self._sites}
        hooks = OutputHooks(self._model, self._visit, modules)
        self._slots.strike()
        try:
            with torch.no_grad():
                self._logits.copy_(self._prefix.forward(self._images, self._kept, self._cut))
        finally:
            hooks.remove()
            for slots in (self._slots, *(output.slots for output in self._outputs.values())):
                slots.restore()

    def _visit(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name not in self._sites:
            return tensor
        if name not in self._outputs:  # while warming up: a capture must not upload anything
            place = copied(tensor)
            self._outputs[name] = _Output(place, FaultSlots([place], SLOTS, place.device))
        output = self._outputs[name]
        output.tensor.copy_(tensor)
        output.slots.strike()
        return output.tensor
