"""Which exceptions are a model's own, and what is said of them."""

from __future__ import annotations

import torch

from faultsim.errors import FaultSimError

NOT_ITS_OWN = (FaultSimError, MemoryError, torch.cuda.OutOfMemoryError)
"""Raised while a model runs, but not by what it computes: no detected error, whatever is armed."""


def cause(error: BaseException) -> str:
    """The first line of an error, with its kind where it has no text."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
