"""What faults that strike during a forward pass have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault, FaultSet, Site
from faultsim.kinds import When
from faultsim.targets.closed import check_not_compiled
from faultsim.targets.inputs import sizes_of
from faultsim.targets.passes import ROOT, PassHooks, with_those_above

Ints = npt.NDArray[np.int64]


class TransientFaults:
    """The faults of one kind of site, armed on a model by hooks, and which of them have fired.

    Made first, then registered, then removed: whoever removes them holds them before they are
    there, so that an interrupt leaves no hook behind. A fault in every sample strikes in every pass
    that returns, or the pass is an error.
    """

    kind: str

    def __init__(self, model: nn.Module, faults: FaultSet, when: When = "after") -> None:
        """Looks the sites up; the model is as before.

        Args:
            model: The module struck.
            faults: Of any kinds.
            when: Whether they strike after the user's own hooks of a module, or before.

        Raises:
            FaultError: The model lacks a module that is struck, or its modules cannot be seen.
        """
        self._when = when
        self._faults = {
            site.name: (site, part) for site, part in faults.by_site() if site.kind == self.kind
        }
        modules = {name or ROOT: module for name, module in model.named_modules()}
        missing = self._modules() - modules.keys()
        if missing:
            raise FaultError(f"{type(model).__name__} has no module {min(missing)!r}")
        for name in {
            ROOT,
            *(above for each in self._modules() for above in with_those_above(each)),
        }:
            check_not_compiled(name, modules[name])
        # The last pass in which each fault struck, 0 before it has.
        self._fired = {
            name: np.zeros(len(part), np.int64) for name, (_, part) in self._faults.items()
        }
        self._offset = self._counted = self._longest = 0
        self._alone = sum(map(len, self._fired.values())) == len(faults)
        self._hooks = self._hooks_on(model)
        self._hooks.ended = self._check_pass

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        raise NotImplementedError

    def _modules(self) -> set[str]:
        return {module_of(name) for name in self._faults}

    @property
    def offset(self) -> int:
        """Number of the first sample of the next pass, for faults in one sample.

        Raises:
            InjectionError: On counting samples on, that a fault did not strike those just passed.
        """
        return self._offset

    @offset.setter
    def offset(self, samples: int) -> None:
        before, self._offset = self._offset, samples
        counted, self._counted = self._counted, self._hooks.passes
        raised, self._hooks.raised = self._hooks.raised, False
        try:
            if not raised and self._counted > counted:
                self._check_run(before, samples, counted)
        finally:
            self._longest = self._most_steps()
            self._hooks.new_run()

    def _most_steps(self) -> int:
        """How many forward passes the longest run had."""
        return max(self._longest, self._hooks.steps)

    def _check_run(self, first: int, end: int, counted: int) -> None:
        """Refuses faults that the samples just passed should have met, and did not."""
        for name, (_, part) in self._faults.items():
            due = (part.sample < 0) | ((part.sample >= first) & (part.sample < end))
            missing = due & (self._fired[name] <= counted)
            steps = self._hooks.steps
            self._refuse(name, missing & ~self._cut_short(part, counted, steps), steps)

    def _check_pass(self) -> None:
        hooks = self._hooks
        for name, (site, part) in self._faults.items():
            due = (part.sample < 0) & self._due(site, part)
            self._refuse(name, due & (self._fired[name] < hooks.outermost), hooks.steps)

    def _now(self, site: Site, part: FaultSet) -> Ints:
        """The faults that may strike in this pass: of its step, or of none, and there by now."""
        step = self._hooks.step
        if not site.steps:
            return np.arange(len(part))
        at = np.full(len(part), min(step or 0, site.steps - 1))
        every = (part.step < 0) & site.has(part.index, at)
        return np.flatnonzero(every | ((part.step == step) & (part.step >= 0)))

    def _due(self, site: Site, part: FaultSet) -> npt.NDArray[np.bool_]:
        """Which faults this pass must meet; of several, those without a step may be met in any."""
        if self.kind == "states" or not site.steps:
            return np.ones(len(part), bool)
        return np.asarray(part.step == self._hooks.steps - 1)

    def _cut_short(self, part: FaultSet, counted: int, steps: int) -> npt.NDArray[np.bool_]:
        """Which faults a run of so many steps never came to, as others may have made it end."""
        others = any((fired > counted).any() for fired in self._fired.values()) or not self._alone
        return (part.step >= steps) & (others and self.kind != "states")

    def _mark(self, name: str, rows: Ints) -> None:
        self._fired[name][rows] = self._hooks.passes

    def check_fired(self) -> None:
        """Raises InjectionError if a fault never struck a word while it was armed."""
        for name, (_, part) in self._faults.items():
            steps = self._most_steps()
            short = self._cut_short(part, 0, steps)
            self._refuse(name, (self._fired[name] == 0) & ~short, steps)

    def _refuse(self, name: str, missing: npt.NDArray[np.bool_], steps: int) -> None:
        if missing.any():
            row = int(np.argmax(missing))
            fault = next(iter(self._faults[name][1][row : row + 1]))
            raise InjectionError(f"armed fault never fired: {fault}; {self._why(fault, steps)}")

    def _why(self, fault: Fault, steps: int) -> str:
        if self.kind != "states" and fault.step is not None and fault.step >= steps:
            return f"the run ended after {steps} forward passes of the model"
        when = "in a pass of the model" if self._fired[fault.tensor].any() else "while it was armed"
        return f"the model ran no such {_WHAT[self.kind]} (or no such sample) {when}"

    def feed(self, inputs: Any) -> Any:
        """A batch on its way to the model, with what is struck in it."""
        self._hooks.batch = sizes_of((inputs,))
        return inputs

    def register(self) -> None:
        """Places the hooks."""
        self._hooks.register()

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        self._hooks.remove()


_WHAT = {
    "activations": "module with such an output",
    "states": "scan of such a size",
    "inputs": "pass with such an input",
    "module-inputs": "module with such an input",
    "kv-cache": "pass with such a cache",
    "operations": "operation",
}


def module_of(site: str) -> str:
    """The module part of an activation's or a state's name."""
    return site.partition(":")[0].partition("@")[0]
