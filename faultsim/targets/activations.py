"""Faults in the outputs of modules, through forward hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from faultsim import trees
from faultsim.errors import FaultError
from faultsim.faults import OPS, FaultSet, Site
from faultsim.formats import FORMATS
from faultsim.ops import apply_
from faultsim.targets.hooks import ForwardHooks
from faultsim.targets.transient import (
    ROOT,
    Run,
    TransientFaults,
    arguments_of,
    batch_of,
    golden_pass,
)

Ints = npt.NDArray[np.int64]
Visit = Callable[[str, torch.Tensor], torch.Tensor]


class OutputHooks(ForwardHooks):
    """Calls ``visit(site name, tensor)`` for every tensor that modules of a model return.

    A module's second call within one forward pass of the model is ``name@1``; the elements of a
    nested output are ``name:path``. A tensor that a container merely passes on from a child is
    visited once, under the child's name.
    """

    def __init__(self, model: nn.Module, visit: Visit, only: set[str] | None = None) -> None:
        """Prepares the hooks; :meth:`register` places them.

        Args:
            model: The root; call numbers restart whenever it runs.
            visit: Returns the tensor to hand on: the one given, or its replacement.
            only: Names of the modules to hook; None for all.
        """
        super().__init__()
        self._model, self._visit, self._only = model, visit, only
        self._calls: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._alive: list[torch.Tensor] = []

    def register(self) -> None:
        """Places the hooks."""
        self.before(self._model, lambda *_: self._restart())
        for name, module in self._model.named_modules():
            if self._only is None or (name or ROOT) in self._only:
                self.after(module, self._hook(name or ROOT))

    def _restart(self) -> None:
        self._calls.clear()
        self._seen.clear()
        self._alive.clear()

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            call, self._calls[name] = self._calls[name], self._calls[name] + 1
            site = f"{name}@{call}" if call else name

            def leaf(path: str, tensor: torch.Tensor) -> torch.Tensor:
                if id(tensor) in self._seen:
                    return tensor
                result = self._visit(f"{site}:{path}" if path else site, tensor)
                self._seen.add(id(result))
                self._alive.append(result)  # an id is only unique among the living
                return result

            return trees.map_tensors(output, leaf)

        return hook

    def remove(self) -> None:
        """Takes the hooks off."""
        super().remove()
        self._restart()


def activation_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> list[Site]:
    """The activations of one golden forward pass, in the order they are computed.

    An output whose leading dimension is that of ``inputs`` is indexed per sample; any other over
    the whole output (``per_sample`` is False).

    Args:
        model: Run as it is, without gradients.
        inputs: One batch: a tensor, a tuple of arguments, or a mapping of keywords.
        run: How it goes through the model; by default as its arguments.

    Raises:
        FaultError: No inputs were given.
    """
    arguments = arguments_of(inputs)
    batch = batch_of(arguments)
    sites: list[Site] = []

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype in FORMATS and tensor.numel():
            per_sample = tensor.ndim > 0 and len(tensor) == batch
            shape = tuple(tensor.shape[1:] if per_sample else tensor.shape)
            sites.append(Site(name, "activations", FORMATS[tensor.dtype].name, shape, per_sample))
        return tensor

    golden_pass(model, inputs, OutputHooks(model, visit), run)
    return sites


class ActivationFaults(TransientFaults):
    """The activation faults of a set, armed on a model.

    Each struck output is cloned first, so that nothing that aliases it (an input, a parameter, a
    cached value, a tensor saved for backward) ever changes.
    """

    kind = "activations"

    def __init__(self, model: nn.Module, faults: FaultSet) -> None:
        super().__init__(model, faults)
        self._hooks = OutputHooks(model, self._visit, self._modules())

    def register(self) -> None:
        self._hooks.register()

    def _visit(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name not in self._faults:
            return tensor
        site, faults = self._faults[name]
        if tensor.dtype != site.format.dtype:
            raise FaultError(f"{name} puts out {tensor.dtype}, but its faults are for {site.dtype}")
        shape = tuple(tensor.shape[1:] if site.per_sample else tensor.shape)
        if shape != site.shape:
            return tensor
        rows, index = strikes(site, faults, len(tensor) if site.per_sample else 1, self.offset)
        struck = tensor.clone()
        for number, op in enumerate(OPS):
            chosen = faults.op[rows] == number
            if chosen.any():
                part = faults[rows[chosen]]
                operand = part.operand if op == "replace" else part.mask
                apply_(struck, index[chosen], op, operand)
        self._mark(name, rows)
        return struck

    def remove(self) -> None:
        self._hooks.remove()


def strikes(site: Site, faults: FaultSet, batch: int, offset: int) -> tuple[Ints, Ints]:
    """What the faults of one site strike in one forward pass.

    Args:
        site: An activation.
        faults: Of that site.
        batch: Samples that pass through.
        offset: Number of the first of them.

    Returns:
        Rows of ``faults`` and row-major positions in the whole output, pairwise.
    """
    if not site.per_sample:
        return np.arange(len(faults)), faults.index
    sample = faults.sample - offset
    every = faults.sample < 0
    rows, samples = np.nonzero(every[:, None] | (sample[:, None] == np.arange(batch)))
    return rows, samples * site.numel + faults.index[rows]
