"""Trials on a CUDA device as graphs: strike, run from the cut on, restore."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from faultsim.faults import FaultSet
from faultsim.faults.site import Site
from faultsim.kinds import When
from faultsim.ops import FaultSlots
from faultsim.ops.operators import FIRST_OWN
from faultsim.ops.slots import Table
from faultsim.run.replay.prefix import Prefix
from faultsim.run.replay.static import StaticTrial
from faultsim.run.replay.values import Kept, Unkept
from faultsim.targets.tensors import weights_of
from faultsim.targets.weights import struck_weight
from faultsim.workload.failures import cause
from faultsim.workload.outputs import same_bits

WEIGHT_SLOTS = 4096
"""Faults that one trial may have in the weights."""

PATIENCE = 3
"""Trials in the same outputs after which a graph of these is captured; capturing costs a few."""

MOST = 64
"""Graphs that are held at a time."""


_Key = tuple[int, Any, frozenset[str]]


class CapturedTrials:
    """Runs trials of a model on one device by replaying graphs.

    A graph holds all of a trial for one batch, and reads the faults from slots in device memory. It
    is captured once for each cut, size of batch and set of struck outputs, and must repeat the
    golden output before it is used. What cannot be captured, because it waits for values of the
    device, say, is not tried again.

    Attributes:
        works: Whether graphs can still be used.
    """

    def __init__(
        self, model: nn.Module, prefix: Prefix, device: torch.device, when: When = "after"
    ) -> None:
        """Prepares the slots.

        Args:
            model: On ``device``.
            prefix: The golden values of one split.
            device: A CUDA device, with its index; the CPU where kernels are rehearsed.
            when: Whether outputs are struck after the user's own hooks, or before.
        """
        self.works = True
        self._model, self._prefix, self._device, self._when = model, prefix, device, when
        words = weights_of(model, integers=True).words
        here = [(name, tensor) for name, tensor in words.items() if tensor.device == device]
        self._weights = {name: (at, tensor) for at, (name, tensor) in enumerate(here)}
        self._slots = FaultSlots([tensor for _, tensor in here], WEIGHT_SLOTS, device)
        self._trials: dict[_Key, StaticTrial] = {}
        self._asked: Counter[_Key] = Counter()
        self._refused: set[_Key] = set()

    def run(
        self, faults: FaultSet, batches: Sequence[Any], sizes: Sequence[int] | None = None
    ) -> list[Any] | None:
        """The output for each batch under the faults, on the device; no output is waited for.

        Args:
            faults: At most :data:`WEIGHT_SLOTS` in weights, and what they strike in activations.
            batches: Their inputs, in the order in which the prefix recorded them.
            sizes: Samples of each; None for the rows of a tensor.

        Returns:
            None where graphs cannot run the trial; the model is as before.
        """
        table = self._table(faults)
        if table is None or torch.is_autocast_enabled(self._device.type):  # its casts go stale
            return None
        trials = self._static(faults, batches)
        if trials is None:
            return None
        self._slots.load(table)
        try:
            return self._replayed(faults, batches, trials, sizes or list(map(len, batches)))
        except Exception as error:  # of a rehearsal, or batches that differ in their memory
            self._prefix.lost.setdefault("graphs", cause(error))
            return None

    def _table(self, faults: FaultSet) -> Table | None:
        """The weight faults, with positions in the slots; None if they do not fit."""
        part = faults.of_kind("weights")
        kinds = {site.kind for site in faults.sites}
        if len(part) > WEIGHT_SLOTS or not kinds <= {"weights", "activations"}:
            return None
        if any(site.steps for site in faults.sites) or not all(map(self._knows, part.sites)):
            return None  # a graph strikes at every pass
        if (faults.op >= FIRST_OWN).any():
            return None  # operators of one's own know the host alone
        table: Table = part.table.copy()
        positions = np.array([self._weights[site.name][0] for site in part.sites], dtype=np.int64)
        table[0] = positions[table[0]]
        return table

    def _knows(self, site: Site) -> bool:
        if site.name not in self._weights:
            return False
        weight = struck_weight(self._model, site)  # raises if it does not fit, as an injector does
        return weight.data_ptr() == self._weights[site.name][1].data_ptr()

    def _static(
        self, faults: FaultSet, batches: Sequence[Any]
    ) -> list[tuple[StaticTrial, Kept]] | None:
        """The graph of each batch, and the golden values it is to hold."""
        cut = self._prefix.cut(faults)
        sites = frozenset(site.name for site in faults.sites if site.kind == "activations")
        found = []
        for number, inputs in enumerate(batches):
            kept = self._prefix.kept(number, inputs)
            trial = self._captured(inputs, kept, cut, sites) if kept and self.works else None
            if kept is None or trial is None:
                return None
            found.append((trial, kept))
        return found

    def _captured(
        self, inputs: Any, kept: Kept, cut: int, sites: frozenset[str]
    ) -> StaticTrial | None:
        key = cut, kept.shapes, sites
        if key in self._trials:
            self._trials[key] = self._trials.pop(key)  # the one used last comes last
            return self._trials[key]
        self._asked[key] += 1
        if key in self._refused or (sites and self._asked[key] < PATIENCE):
            return None
        if len(self._trials) == MOST:
            del self._trials[next(iter(self._trials))]
        try:
            self._slots.clear()
            trial = StaticTrial(
                self._model, self._prefix, self._slots, inputs, kept, cut, sites, self._when
            )
            exact = same_bits(trial.replay(inputs, kept), kept.output)
        except (Unkept, Exception) as error:
            self._prefix.lost.setdefault("graphs", cause(error))
            exact = False
        if not exact:
            self._refused.add(key)
            self.works = bool(sites)  # a model without struck outputs is the same for every cut
            return None
        self._trials[key] = trial
        return trial

    def _replayed(
        self,
        faults: FaultSet,
        batches: Sequence[Any],
        trials: list[tuple[StaticTrial, Kept]],
        sizes: Sequence[int],
    ) -> list[Any] | None:
        rows, offset = [], 0
        struck = {s.name: (s, part) for s, part in faults.by_site() if s.kind == "activations"}
        fired = {name: np.zeros(len(part), bool) for name, (_, part) in struck.items()}
        for inputs, size, (trial, kept) in zip(batches, sizes, trials, strict=True):
            for name, (site, part) in struck.items():
                rows_struck = trial.load(site, part, offset)
                if rows_struck is None:
                    return None
                fired[name][rows_struck] = True
            rows.append(trial.replay(inputs, kept))
            offset += size
        return rows if all(each.all() for each in fired.values()) else None
