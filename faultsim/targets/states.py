"""Faults in the hidden state of selective scans, inside the recurrence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from faultsim.errors import FaultError
from faultsim.faults import FaultSet, Site
from faultsim.ops import SelectiveScan, StateFault
from faultsim.targets.hooks import ForwardHooks
from faultsim.targets.transient import (
    ROOT,
    Run,
    TransientFaults,
    arguments_of,
    batch_of,
    golden_pass,
)

Visit = Callable[[list[Site], dict[str, Any]], list[StateFault]]
ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "delta_bias", "delta_softplus")
DEFAULTS = {"D": None, "delta_bias": None, "delta_softplus": False, "state_faults": None}


class ScanHooks(ForwardHooks):
    """Calls ``visit(sites, arguments)`` before every scan of a model, and strikes what it returns.

    A scan is one site, ``name:state``, or one for each of its parts, ``name:part``. A module's
    second call within one forward pass of the model is ``name@1``. Sites have the shape (channels,
    states), the steps of the scan, and the dtype it computes in; where a scan's batch is not the
    model's (windows of an image, say) ``per_sample`` is False, and a fault strikes all of it.
    """

    def __init__(self, model: nn.Module, visit: Visit) -> None:
        super().__init__()
        self._model, self._visit = model, visit
        self._calls: Counter[str] = Counter()
        self._batch: int | None = None

    def register(self) -> None:
        """Places the hooks."""
        self.before(self._model, self._restart)
        for name, module in self._model.named_modules():
            if isinstance(module, SelectiveScan):
                self.before(module, self._hook(name or ROOT))

    def _restart(self, model: Any, args: Any, kwargs: dict[str, Any]) -> None:
        self._calls.clear()
        self._batch = batch_of((*args, *kwargs.values()))

    def _hook(self, name: str) -> Callable[[Any, Any, Any], Any]:
        def hook(module: SelectiveScan, args: Any, kwargs: dict[str, Any]) -> Any:
            call, self._calls[name] = self._calls[name], self._calls[name] + 1
            arguments = DEFAULTS | dict(zip(ARGUMENTS, args, strict=False)) | kwargs
            site = f"{name}@{call}" if call else name
            per_sample = len(arguments["u"]) == self._batch
            sites = _sites(site, module, arguments["u"], arguments["A"], per_sample)
            faults = [*(arguments["state_faults"] or ()), *self._visit(sites, arguments)]
            return args, {**kwargs, "state_faults": faults}

        return hook


def _sites(
    name: str, module: SelectiveScan, u: torch.Tensor, A: torch.Tensor, per_sample: bool
) -> list[Site]:
    dtype = "float64" if u.dtype == torch.float64 else "float32"
    names = [f"{name}:{part}" for part in module.parts or ("state",)]
    if u.shape[1] % len(names):
        raise FaultError(f"{name}: {u.shape[1]} channels do not divide into {module.parts}")
    shape = u.shape[1] // len(names), A.shape[1]
    return [Site(part, "states", dtype, shape, per_sample, u.shape[2]) for part in names]


def state_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> list[Site]:
    """The hidden states of one golden forward pass, in the order they are computed.

    Args:
        model: Run as it is, without gradients.
        inputs: One batch: a tensor, a tuple of arguments, or a mapping of keywords.
        run: How it goes through the model; by default as its arguments.

    Raises:
        FaultError: No inputs were given.
    """
    found: list[Site] = []

    def visit(sites: list[Site], arguments: dict[str, Any]) -> list[StateFault]:
        found.extend(sites)
        return []

    arguments_of(inputs)  # raises where there is none
    golden_pass(model, inputs, ScanHooks(model, visit), run)
    return found


class StateFaults(TransientFaults):
    """The state faults of a set, armed on a model."""

    kind = "states"

    def __init__(self, model: nn.Module, faults: FaultSet) -> None:
        super().__init__(model, faults)
        self._hooks = ScanHooks(model, self._visit)

    def register(self) -> None:
        self._hooks.register()

    def _visit(self, sites: list[Site], arguments: dict[str, Any]) -> list[StateFault]:
        strikes: list[StateFault] = []
        batch = len(arguments["u"])
        for number, site in enumerate(sites):
            armed, faults = self._faults.get(site.name, (None, None))
            if armed == site and faults is not None:
                strikes += self._strikes(faults, site, number * site.shape[0], batch)
        return strikes

    def _strikes(self, faults: FaultSet, site: Site, first: int, batch: int) -> list[StateFault]:
        sample = np.where(faults.sample < 0, -1, faults.sample - self.offset)
        rows = np.flatnonzero((faults.sample < 0) | ((sample >= 0) & (sample < batch)))
        self._mark(site.name, rows)
        every = (1 << site.format.bits) - 1
        return [
            StateFault(
                first + fault.index // site.shape[1],
                fault.index % site.shape[1],
                int(step),
                (fault.operand if fault.op == "replace" else fault.mask) & every,
                fault.op,
                None if at < 0 else int(at),
            )
            for fault, step, at in zip(faults[rows], faults.step[rows], sample[rows], strict=True)
        ]

    def remove(self) -> None:
        self._hooks.remove()
