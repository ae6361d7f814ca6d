"""What faults that strike during a forward pass have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from faultsim.errors import FaultError, InjectionError
from faultsim.faults import FaultSet

ROOT = "(root)"


class TransientFaults:
    """The faults of one kind of site, armed on a model by hooks, and which of them have fired.

    Made first, then registered, then removed: whoever removes them holds them before they are
    there, so that an interrupt leaves no hook behind.

    Attributes:
        offset: Number of the first sample of the next forward pass, for faults in one sample.
    """

    kind: str

    def __init__(self, model: nn.Module, faults: FaultSet) -> None:
        """Looks the sites up; the model is as before.

        Raises:
            FaultError: The model lacks a module that is struck.
        """
        self._faults = {
            site.name: (site, part) for site, part in faults.by_site() if site.kind == self.kind
        }
        self._fired = {name: np.zeros(len(part), bool) for name, (_, part) in self._faults.items()}
        self.offset = 0
        missing = self._modules() - {name or ROOT for name, _ in model.named_modules()}
        if missing:
            raise FaultError(f"{type(model).__name__} has no module {min(missing)!r}")

    def _modules(self) -> set[str]:
        return {module_of(name) for name in self._faults}

    def _mark(self, name: str, rows: npt.NDArray[np.int64]) -> None:
        self._fired[name][rows] = True

    def check_fired(self) -> None:
        """Raises InjectionError if a fault never struck a word while it was armed."""
        for name, fired in self._fired.items():
            if not fired.all():
                row = int(np.argmin(fired))
                fault = next(iter(self._faults[name][1][row : row + 1]))
                raise InjectionError(
                    f"armed fault never fired: {fault}; the model ran no such {_WHAT[self.kind]} "
                    "(or no such sample) while it was armed"
                )

    def register(self) -> None:
        """Places the hooks."""
        raise NotImplementedError

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        raise NotImplementedError


_WHAT = {"activations": "module with such an output", "states": "scan of such a size"}


class Hooks(Protocol):
    """Hooks on a model, from :meth:`register` until :meth:`remove`, which may be called again."""

    def register(self) -> None: ...

    def remove(self) -> None: ...


Run = Callable[[Any], Any]
"""How a batch goes through a model."""


def golden_pass(model: nn.Module, inputs: Any, hooks: Hooks, run: Run | None = None) -> None:
    """Runs the model once without gradients, for what its hooks see, and removes them."""
    try:
        try:
            hooks.register()
            with torch.no_grad():
                if run is not None:
                    run(inputs)
                elif isinstance(inputs, Mapping):
                    model(**inputs)
                else:
                    model(*arguments_of(inputs))
        finally:
            hooks.remove()
    except BaseException:
        hooks.remove()  # once more: an interrupt may have come between
        raise


def arguments_of(inputs: Any) -> tuple[Any, ...]:
    """One batch as positional arguments.

    Raises:
        FaultError: There is none.
    """
    if inputs is None:
        raise FaultError(
            "activations and states are found by a forward pass: give inputs=, a batch"
        )
    if isinstance(inputs, Mapping):
        return tuple(inputs.values())
    return inputs if isinstance(inputs, tuple) else (inputs,)


def batch_of(arguments: Iterable[Any]) -> int | None:
    """Number of samples: the leading dimension of the first tensor that has one."""
    return next((len(a) for a in arguments if isinstance(a, torch.Tensor) and a.ndim), None)


def module_of(site: str) -> str:
    """The module part of an activation's or a state's name."""
    return site.partition(":")[0].partition("@")[0]
