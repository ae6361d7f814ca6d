"""The built-in operators that look at the whole word, as functions; see ``OPS`` for what they do.

Arguments and errors as :func:`faultsim.ops.flip_` has them; ``mask`` are the bits that can change.
"""

from __future__ import annotations

import torch

from faultsim.ops.arguments import Index, Operands, Patterns
from faultsim.ops.words import apply_


def randomise_(
    tensor: torch.Tensor, index: Index, random: Patterns, *, mask: Patterns = -1
) -> torch.Tensor:
    """Replaces words by ``random`` bits, cut to their width."""
    return apply_(tensor, index, "random", mask=mask, random=random)


def zero_(tensor: torch.Tensor, index: Index, *, mask: Patterns = -1) -> torch.Tensor:
    """Clears words."""
    return apply_(tensor, index, "zero", mask=mask)


def set_(
    tensor: torch.Tensor, index: Index, value: Operands, *, mask: Patterns = -1
) -> torch.Tensor:
    """Replaces words by a value, rounded to their format."""
    return apply_(tensor, index, "set", value, mask=mask)


def add_(
    tensor: torch.Tensor, index: Index, value: Operands, *, mask: Patterns = -1
) -> torch.Tensor:
    """Adds a value to that of words."""
    return apply_(tensor, index, "add", value, mask=mask)


def scale_(
    tensor: torch.Tensor, index: Index, factor: Operands, *, mask: Patterns = -1
) -> torch.Tensor:
    """Multiplies the value of words."""
    return apply_(tensor, index, "scale", factor, mask=mask)


def gaussian_(
    tensor: torch.Tensor,
    index: Index,
    deviation: Operands,
    random: Patterns,
    *,
    mask: Patterns = -1,
) -> torch.Tensor:
    """Multiplies the value of words by a normal factor of mean 1, which ``random`` bits give."""
    return apply_(tensor, index, "gaussian", deviation, mask=mask, random=random)


def byte_shift_(
    tensor: torch.Tensor, index: Index, bytes: Patterns, *, mask: Patterns = -1
) -> torch.Tensor:
    """Shifts words by so many bytes, -7 to 7; less than 0 is towards the least significant."""
    return apply_(tensor, index, "byte-shift", bytes, mask=mask)
