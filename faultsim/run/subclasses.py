"""What a flip in a quantised tensor subclass is worth: what it makes of the tensor, times a slope.

A subclass (of torchao, or a user's own) is opened by ``__tensor_flatten__`` and dequantised by its
own ``dequantize``. Which of its elements a stored word reaches is found by looking, so that two
numbers in a byte, and any order of words, are as good as others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from faultsim.ops.rank_bytes import BYTES
from faultsim.targets.words import inner_tensors

BITS = 8


def dequantised(tensor: torch.Tensor) -> torch.Tensor | None:
    """The real numbers of a quantised subclass; None for what is none."""
    if inner_tensors(tensor) is None:
        return None
    try:
        with torch.no_grad():
            found = tensor.dequantize()
    except Exception:  # of a subclass that holds no quantised words
        return None
    plain = type(found) is torch.Tensor and found.is_floating_point()
    return found.detach() if plain and found.shape == tensor.shape else None


def subclasses_of(model: nn.Module) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name, tensor and real numbers of each quantised subclass."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        real = dequantised(tensor)
        if real is not None:
            yield name, tensor, real


class Gains:
    """What flips of the words of one inner tensor do to the loss, to first order."""

    def __init__(self, tensor: torch.Tensor, attribute: str) -> None:
        self._tensor, self._attribute = tensor, attribute
        self._words = getattr(tensor, attribute)
        self._real = self._with(0)
        self._owner = self._found_owner()

    def by(self, slope: torch.Tensor) -> torch.Tensor:
        """(\\*words, 8) of flipping each bit of each word.

        Args:
            slope: The gradient by the real numbers.
        """
        columns = [self._of(1 << bit, slope) for bit in range(BITS)]
        return torch.stack(columns, -1).view(*self._words.shape, BITS)

    def _of(self, mask: int, slope: torch.Tensor) -> torch.Tensor:
        """What each word's flip is worth: words reach different elements, so all flip at once."""
        change = (self._with(mask) - self._real).double() * slope.double()
        zeros = torch.zeros(self._words.numel(), dtype=torch.float64, device=change.device)
        return zeros.index_add(0, self._owner, change.reshape(-1))

    def _with(self, mask: int, chosen: torch.Tensor | None = None) -> torch.Tensor:
        """The real numbers of flipped words; of all, or of those chosen."""
        words = self._words.detach().contiguous().clone()
        flat = words.view(torch.uint8).view(-1)
        flat[:] = flat ^ mask if chosen is None else torch.where(chosen, flat ^ mask, flat)
        names, context = self._tensor.__tensor_flatten__()  # type: ignore[attr-defined]
        inner: dict[str, Any] = {name: getattr(self._tensor, name) for name in names}
        inner[self._attribute] = words
        size, stride = self._tensor.size(), self._tensor.stride()
        made = type(self._tensor).__tensor_unflatten__(inner, context, size, stride)  # type: ignore[attr-defined]
        with torch.no_grad():
            found: torch.Tensor = made.dequantize()
        return found.nan_to_num()

    def _found_owner(self) -> torch.Tensor:
        """The word that each element comes from, bit by bit of its number."""
        number = torch.arange(self._words.numel(), device=self._words.device)
        owner = torch.zeros(self._real.numel(), dtype=torch.int64, device=self._real.device)
        for place in range(len(number).bit_length()):
            moved = self._with(0xFF, (number >> place & 1).bool()) != self._real
            owner |= moved.reshape(-1).long() << place
        return owner


def byte_parts(tensor: torch.Tensor) -> Iterator[str]:
    """The inner tensors that hold words of one byte."""
    for name, part in (inner_tensors(tensor) or {}).items():
        if part.dtype in BYTES and type(part) is torch.Tensor:
            yield name
