"""The bits of weights that an attacker in memory can flip.

Weights lie one after another in the order of the model, each aligned as the profile says, little
endian, from the start of a page; those that the campaign leaves out take no place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import FaultError
from faultsim.faultmodels.reach import Reach
from faultsim.faults import FaultSet, Site
from faultsim.ops import RankedBits, read_words, sample_uniform
from faultsim.targets.weights import struck_weight

if TYPE_CHECKING:
    from faultsim.schedule.context import Context
    from faultsim.space import FaultSpace

Ints = npt.NDArray[np.int64]


def reached(context: Context, reach: Reach, site: Site, bits: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Indices and bits of one weight that can be flipped from the value that they have."""
    size = site.format.bits
    start = 8 * _starts(context.space, reach)[site.name]
    page, end = 8 * reach.page, start + site.words * size
    pages = np.arange(start // page, -(-end // page), dtype=np.int64) * page
    offset = np.array([cell.offset for cell in reach.cell], dtype=np.int64)
    rising = np.array([cell.direction == "0to1" for cell in reach.cell])
    place = (pages[:, None] + offset).ravel() - start
    rising = np.broadcast_to(rising, (len(pages), len(offset))).ravel()
    index, bit = np.divmod(place, size)
    fits = (place >= 0) & (place < end - start) & np.isin(bit, bits)
    index, bit, rising = index[fits], bit[fits], rising[fits]
    words = read_words(struck_weight(context.model, site), index).cpu().numpy()
    right = (words >> bit & 1).astype(bool) != rising
    order = np.lexsort((bit[right], index[right]))
    return index[right][order], bit[right][order]


def rank_reached(
    context: Context, site: Site, bits: tuple[int, ...], slopes: torch.Tensor | None, k: int
) -> RankedBits:
    """The best ``k`` of them by |g · Δ| (of integers, g · Δ), by Δ where there is no gradient."""
    assert context.reach is not None
    config = context.config
    index, bit = reached(context, context.reach, site, bits)
    words = struck_weight(context.model, site).detach().cpu().reshape(-1)
    before = words[torch.from_numpy(index)]
    mask = torch.ones(len(bit), dtype=torch.int64) << torch.from_numpy(bit)
    patterns = before.view(site.format.word).long() ^ mask
    after = patterns.to(site.format.word).view(words.dtype)
    change = after.double() - before.double()
    slope = torch.ones(len(bit), dtype=torch.float64)
    if slopes is not None:
        slope = slopes.detach().cpu().reshape(-1)[torch.from_numpy(index)].double()
    broken = ~change.isfinite()
    gain = slope * change  # of integers, which change little, those that raise the loss come first
    score = torch.where(broken, torch.inf, gain.abs() if site.format.is_float else gain)
    if not config.allow_nonfinite:
        score[broken] = -torch.inf
    order = torch.sort(score, descending=True, stable=True).indices[:k]
    order = order[score[order] > -torch.inf]
    return RankedBits(score[order], torch.from_numpy(index)[order], torch.from_numpy(bit)[order])


def draw_reached(context: Context, space: FaultSpace, n: int, trial: int) -> FaultSet:
    """``n`` distinct bits, uniform over those that can be reached.

    Raises:
        FaultError: There are fewer.
    """
    assert context.reach is not None
    pairs = zip(space.sites, space.bits, strict=True)
    found = [reached(context, context.reach, site, bits) for site, bits in pairs]
    site = np.repeat(np.arange(len(found)), [len(index) for index, _ in found])
    index, bit = (np.concatenate(column) for column in zip(*found, strict=True))
    if len(site) < n:
        raise FaultError(
            f"only {len(site):,} bits are within --reach, fewer than the {n:,} flips asked for"
        )
    at = sample_uniform(len(site), n, seed=context.config.seed, trial=trial).numpy()
    return FaultSet(list(space.sites), site[at], index[at], np.int64(1) << bit[at])


def _starts(space: FaultSpace, reach: Reach) -> dict[str, int]:
    """The byte at which each weight begins."""
    found, end = dict[str, int](), 0
    for site in space.sites:
        found[site.name] = -(-end // reach.align) * reach.align
        end = found[site.name] + site.words * site.format.bits // 8
    return found
