"""Weights within the bounds that they were stored in."""

from __future__ import annotations

import torch
from torch import nn

from faultsim.protections.alarms import Detected
from faultsim.protections.protection import Rehearsal
from faultsim.protections.weights import none_found, read_through


class WeightRange:
    """A weight outside the range of its tensor, or NaN, is detected when it is read."""

    name = "weight-range"

    def __init__(self, pattern: str = "*") -> None:
        """Nothing is looked at yet.

        Args:
            pattern: Of names of the weights to check; a module's name takes all below it.
        """
        self._pattern = pattern

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""
        if not read_through(model, InRange, self._pattern):
            raise none_found(self.name, "weight", self._pattern)


class InRange(nn.Module):
    """The bounds of one tensor.

    Attributes:
        low: The least number in it.
        high: The greatest.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        low, high = torch.aminmax(tensor.detach())
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        low, high = torch.aminmax(stored.detach())
        if not bool((low >= self.low) & (high <= self.high)):  # not so either where one is NaN
            raise Detected("a weight is outside the range it was stored in")
        return stored
