"""What faults that strike during a forward pass have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from faultsim.errors import FaultError, InjectionError
from faultsim.faults import FaultSet
from faultsim.kinds import When
from faultsim.targets.closed import check_not_compiled
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
        self._offset = self._counted = 0
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
        if raised or self._counted == counted:
            return
        for name, (_, part) in self._faults.items():
            due = (part.sample < 0) | ((part.sample >= before) & (part.sample < samples))
            self._refuse(name, due & (self._fired[name] <= counted))

    def _check_pass(self) -> None:
        for name, (_, part) in self._faults.items():
            self._refuse(name, (part.sample < 0) & (self._fired[name] != self._hooks.passes))

    def _mark(self, name: str, rows: Ints) -> None:
        self._fired[name][rows] = self._hooks.passes

    def check_fired(self) -> None:
        """Raises InjectionError if a fault never struck a word while it was armed."""
        for name, fired in self._fired.items():
            self._refuse(name, fired == 0)

    def _refuse(self, name: str, missing: npt.NDArray[np.bool_]) -> None:
        if missing.any():
            row = int(np.argmax(missing))
            fault = next(iter(self._faults[name][1][row : row + 1]))
            when = "in a pass of the model" if self._fired[name].any() else "while it was armed"
            raise InjectionError(
                f"armed fault never fired: {fault}; the model ran no such {_WHAT[self.kind]} "
                f"(or no such sample) {when}"
            )

    def feed(self, inputs: Any) -> Any:
        """A batch on its way to the model, with what is struck in it."""
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
}


def module_of(site: str) -> str:
    """The module part of an activation's or a state's name."""
    return site.partition(":")[0].partition("@")[0]
