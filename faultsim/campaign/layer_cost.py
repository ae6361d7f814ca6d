"""What a protection costs in one layer, measured there, in turn with the bare layer."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn

from faultsim.run.timing import timed
from faultsim.workload import Workload

ROUNDS = 15
"""Passes of each that are timed, in turn, at least."""

MOST_ROUNDS, ENOUGH = 51, 2.0
"""As many where they take fewer seconds together: a short pass is told from noise by more."""

Call = tuple[tuple[Any, ...], dict[str, Any]]


def in_turn(
    one: Callable[[], Any], other: Callable[[], Any], device: torch.device
) -> list[tuple[float, float]]:
    """Seconds of two runs side by side, :data:`ROUNDS` times or more; neither in its first run."""
    one(), other()
    found: list[tuple[float, float]] = []
    while len(found) < ROUNDS or (len(found) < MOST_ROUNDS and sum(map(sum, found)) < ENOUGH):
        found.append((timed(one, device)[1], timed(other, device)[1]))
    return found


def time_of_layer(
    bare: Workload, safe: Workload, layer: str, inputs: Any, device: torch.device
) -> float:
    """The time that a protection of a layer takes in a pass, as a share of the bare model's pass.

    The layer alone is run on what it is given in a pass: beside a whole model it could not be seen.
    One that is never called as a module, as those whose weights another reads, is timed with it.

    Args:
        bare: The workload.
        safe: With the protection in that layer alone.
        layer: Its name in both.
        inputs: Of a batch, on the device.
        device: Where the models are.
    """
    with torch.no_grad():
        calls = _calls(bare, layer, inputs)
        if calls:
            runs = [_running(work.model.get_submodule(layer), calls) for work in (bare, safe)]
        else:
            runs = [lambda: bare.run(inputs), lambda: safe.run(inputs)]
        pairs = in_turn(runs[0], runs[1], device)
        whole = median(timed(lambda: bare.run(inputs), device)[1] for _ in range(ROUNDS))
    return max(0.0, median(other - one for one, other in pairs) / whole)


def _calls(work: Workload, layer: str, inputs: Any) -> list[Call]:
    """What a layer is given in a pass, call by call; nothing of the model itself."""
    found: list[Call] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append((args, kwargs))

    if layer:
        hook = work.model.get_submodule(layer).register_forward_pre_hook(note, with_kwargs=True)
        try:
            work.run(inputs)
        finally:
            hook.remove()
    return found


def _running(module: nn.Module, calls: list[Call]) -> Callable[[], None]:
    def run() -> None:
        for args, kwargs in calls:
            module(*args, **kwargs)

    return run


def bytes_held(model: nn.Module) -> int:
    """By parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
