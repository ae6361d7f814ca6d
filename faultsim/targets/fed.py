"""Which tensors of a batch reach the model: what a forward of the user's keeps for itself is none
of its inputs, as the labels of a loss are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.targets.inputs import Arguments, Run, other_content
from faultsim.targets.layouts import differs, golden_pass
from faultsim.targets.passes import PassHooks

UNFED = "the forward does not give it to the model"

Alter = Callable[[Callable[[torch.Tensor], torch.Tensor]], Arguments]
"""A batch in which one tensor, or one of each sample, is replaced by a function of it."""


class _Given(PassHooks):
    """Keeps what the model, or a part of it that is called on its own, is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.tensors: list[torch.Tensor] = []

    def register(self) -> None:
        self.enter(name for name, _ in self._model.named_modules() if name)

    def begin(self, arguments: Any) -> None:
        super().begin(arguments)
        self.tensors += [tensor.detach().clone() for tensor in trees.tensors(arguments)]


class Fed:
    """What a batch gives a model, to be compared with what another gives it."""

    def __init__(self, model: nn.Module, batch: Arguments, run: Run) -> None:
        self._model, self._run = model, run
        self._golden = self._given(batch)

    def _given(self, batch: Arguments) -> list[torch.Tensor]:
        hooks = _Given(self._model)
        golden_pass(self._model, batch, hooks, self._run)
        return hooks.tensors

    def reaches(self, alter: Alter) -> bool:
        """Whether the model is given something else once a tensor has other values.

        A forward that fails on those uses it for something, and counts as one that gives it.
        """
        try:
            found = self._given(alter(_other))
        except Exception:  # of the forward, or of the model
            return True
        if len(found) != len(self._golden):
            return True
        return any(_unlike(*pair) for pair in zip(self._golden, found, strict=True))


def _unlike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return True
    return bool(differs(one, other).any())


def _other(tensor: torch.Tensor) -> torch.Tensor:
    """Values of which at least one is another."""
    found = other_content(tensor)
    if _unlike(tensor, found):
        return found
    return ~tensor if tensor.dtype == torch.bool else tensor ^ 1
