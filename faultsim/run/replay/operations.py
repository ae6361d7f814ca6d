"""When, in a golden pass, the functions run whose results faults may strike."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from faultsim.run.replay.calls import Calls
from faultsim.run.replay.trace import clock, watch
from faultsim.targets.inputs import Arguments
from faultsim.targets.layouts import golden_pass
from faultsim.targets.operation_hooks import OperationHooks


def operation_ticks(
    model: nn.Module,
    modules: Mapping[str, nn.Module],
    inputs: Any,
    usual: Calls,
    run: Callable[[Any], Any],
) -> dict[str, int]:
    """By site, the last tick before a function first returns its result.

    Args:
        model: Run once, as it is; it is as before.
        modules: Those below it whose calls are watched.
        inputs: Of one batch, a tree of tensors.
        usual: The calls that are expected; of a batch that goes another way nothing is told.
        run: Inputs to output, of the model.
    """
    moments: dict[str, float] = {}
    passed: list[Calls] = []

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        moments.setdefault(name, clock())
        return tensor

    def watched(given: Any) -> None:
        passed.append(watch(model, modules, given, run=run)[1])

    golden_pass(model, Arguments((inputs,), {}), OperationHooks(model, visit), watched)
    (calls,) = passed
    if not calls.same_way(usual):
        return {}
    return {name: bisect_left(calls.seconds, at) - 1 for name, at in moments.items()}
