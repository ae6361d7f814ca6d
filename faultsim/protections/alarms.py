"""How a protection says that something is wrong, where it cannot put it right.

What it has detected is a DUE, in terms that the judge knows: an output without a finite number for
the samples concerned, or a forward pass that raises, where it concerns all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from faultsim import trees

BESIDE = "_faultsim_guard"
"""The attribute of modules that have a guard beside them, which is none of their children."""


class Detected(RuntimeError):
    """Raised in a forward pass: a fault was detected and not corrected, so there is no answer.

    It is no :class:`~faultsim.errors.FaultSimError`, for it is an outcome and no mistake.
    """


class Guard(nn.Module):
    """A module that may find a sample corrupted.

    Attributes:
        alarms: Of the pass that runs, (rows,) bool each. Empty unless something was found, so that
            replay, which looks at what a module holds, never skips a call that raised an alarm.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alarms: list[torch.Tensor] = []

    def alarm(self, rows: torch.Tensor) -> None:
        """Says of each row of a batch whether it is corrupted."""
        if bool(rows.any()):
            self.alarms.append(rows.detach())


def guards_of(model: nn.Module) -> list[Guard]:
    """Those of a model."""
    held = ((module, vars(module).get(BESIDE)) for module in model.modules())
    found = [each for both in held for each in both if isinstance(each, Guard)]
    return list(dict.fromkeys(found))


def answer(model: nn.Module, run: Callable[[], Any]) -> Any:
    """The output of a pass, without a number in it for samples of which a guard raised an alarm.

    Args:
        model: With its guards.
        run: The pass.

    Raises:
        Detected: It cannot be told which part of the output is a sample's.
    """
    guards = guards_of(model)
    for guard in guards:
        guard.alarms.clear()
    try:
        output = run()
        alarms = [rows for guard in guards for rows in guard.alarms]
    finally:
        for guard in guards:
            guard.alarms.clear()
    return _without(output, _together(alarms)) if alarms else output


def _together(alarms: list[torch.Tensor]) -> torch.Tensor:
    if len({len(rows) for rows in alarms}) > 1:
        raise Detected("guards raised alarms about other numbers of samples")
    return torch.stack(alarms).any(0)


def _without(output: Any, rows: torch.Tensor) -> Any:
    if isinstance(output, list) and len(output) == len(rows):
        pairs = zip(output, rows.tolist(), strict=True)
        return [_emptied(item, ...) if bad else item for item, bad in pairs]
    if any(not leaf.ndim or len(leaf) != len(rows) for leaf in trees.tensors(output)):
        raise Detected("an alarm about samples that the output does not tell apart")
    return _emptied(output, rows)


def _emptied(tree: Any, where: Any) -> Any:
    if not any(_real(leaf) for leaf in trees.tensors(tree)):
        raise Detected("an alarm about samples whose output has no number that could be missing")

    def emptied(_: str, leaf: torch.Tensor) -> torch.Tensor:
        if not _real(leaf):
            return leaf
        changed = leaf.clone()
        changed[where] = torch.nan
        return changed

    return trees.map_tensors(tree, emptied)


def _real(leaf: torch.Tensor) -> bool:
    return leaf.is_floating_point() or leaf.is_complex()
