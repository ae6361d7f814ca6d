"""The selective scan as a module, whose hidden state faults can find."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from faultsim.ops.scan import selective_scan
from faultsim.ops.state_fault import StateFault


class SelectiveScan(nn.Module):
    """:func:`faultsim.ops.selective_scan` without parameters of its own.

    The hidden states of a model's scans are fault sites (``FaultSpace(model, "states", …)``) where
    it scans through this module.

    Attributes:
        parts: Names of equal shares of the channels, each a fault site of its own.
    """

    def __init__(self, parts: Sequence[str] = ()) -> None:
        """Makes the module.

        Args:
            parts: Names in the order of the channels, as MedMamba's four directions; the channels
                must divide evenly.
        """
        super().__init__()
        self.parts = tuple(parts)

    def forward(
        self,
        u: torch.Tensor,
        delta: torch.Tensor,
        A: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
        D: torch.Tensor | None = None,
        delta_bias: torch.Tensor | None = None,
        delta_softplus: bool = False,
        *,
        state_faults: Sequence[StateFault] | None = None,
    ) -> torch.Tensor:
        """Arguments and result as :func:`faultsim.ops.selective_scan`."""
        return selective_scan(
            u, delta, A, B, C, D, delta_bias, delta_softplus, state_faults=state_faults
        )

    def extra_repr(self) -> str:
        return ", ".join(self.parts)
