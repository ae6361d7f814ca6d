"""The bits of one-byte words whose flip changes the loss most, to first order."""

from __future__ import annotations

import torch

from faultsim.dtypes import FORMATS
from faultsim.formats import BitSpec
from faultsim.ops.ranking import RankedBits

BYTES = tuple(dtype for dtype, fmt in FORMATS.items() if fmt.bits == 8)
"""int8, uint8 and the floats of eight bits."""

CHUNK = 1 << 18  # elements; the scores of so many take 16 MB


def rank_bytes(
    weight: torch.Tensor,
    grad: torch.Tensor,
    k: int,
    *,
    bits: BitSpec = "all",
    finite_only: bool = True,
    direction: str | None = None,
) -> RankedBits:
    """As :func:`faultsim.ops.rank_bits`, of words of one byte, by a table of all of them.

    Flips of integers change little and are ranked by g · Δ, those that raise the loss first; those
    of floats by its absolute value.

    Args:
        weight: Of a dtype of :data:`BYTES`.
        grad: (\\*weight.shape) gradient of the loss by the values of the words, float32. Or
            (\\*weight.shape, 8): by how much the flip of each bit raises it.
        k: How many.
        bits: The bits that may flip.
        finite_only: As there.
        direction: As there.
    """
    chosen = torch.tensor(FORMATS[weight.dtype].select(bits))
    table = _changes(weight.dtype, chosen, finite_only, direction).to(weight.device)
    words = weight.detach().contiguous().reshape(-1).view(torch.uint8)
    by_bit = grad.ndim > weight.ndim
    slopes = grad.detach().reshape(len(words), -1).double()
    if weight.is_floating_point() and not by_bit:
        slopes = slopes.abs()
    best = torch.empty(0, dtype=torch.float64), torch.empty(0, dtype=torch.int64)
    for first in range(0, len(words), CHUNK):
        changes = table[words[first : first + CHUNK].long()]
        slope = slopes[first : first + CHUNK]
        score = slope[:, chosen] if by_bit else slope * changes
        score = torch.where(changes.isfinite(), score, changes).reshape(-1).cpu()
        place = torch.arange(len(score)) + first * len(chosen)
        best = _highest(torch.cat([best[0], score]), torch.cat([best[1], place]), k)
    score, place = best
    return RankedBits(score, place // len(chosen), chosen[place % len(chosen)])


def _changes(
    dtype: torch.dtype, bits: torch.Tensor, finite_only: bool, direction: str | None
) -> torch.Tensor:
    """(256, bits) by how much each flip changes each word; -inf where it may not be."""
    words = torch.arange(256)
    flipped = words[:, None] ^ (1 << bits)
    values = words.to(torch.uint8).view(dtype).float().double()
    change = values[flipped] - values[:, None]
    if dtype.is_floating_point:
        change = change.abs()
    broken = ~change.isfinite()
    change[broken] = -torch.inf if finite_only else torch.inf
    if direction is not None:
        change[(words[:, None] >> bits & 1) == (direction == "0to1")] = -torch.inf
    return change


def _highest(score: torch.Tensor, place: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Those that may be, the highest first, of equals the first."""
    order = torch.sort(score, descending=True, stable=True).indices[:k]
    order = order[score[order] > -torch.inf]
    return score[order], place[order]
