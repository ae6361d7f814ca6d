"""Candidates of the worst-case search: the bits that first-order loss change ranks highest."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import NamedTuple

import torch

from faultsim.faults import OPS, FaultSet, Site
from faultsim.formats import mask_of
from faultsim.ops import RankedBits, rank_bits
from faultsim.ops.rank_bytes import BYTES, rank_bytes
from faultsim.schedule.context import Context
from faultsim.schedule.reached import rank_reached
from faultsim.space import FaultSpace
from faultsim.targets.weights import struck_weight

RANKED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
GLOBAL = 48  # best bits over all tensors
LEAST = 128  # candidates in all: one small layer is mostly top exponent bits, which slopes tell ill
PER_TENSOR = 1  # best bits of each tensor, so that no layer goes unseen
IMPLIED = {"stuck-at-0": "1to0", "stuck-at-1": "0to1"}


class Scored(NamedTuple):
    """One bit of one site, and its first-order loss change."""

    score: float
    site: Site
    index: int  # type: ignore[assignment]  # shadows tuple.index
    bit: int
    step: int = -1

    def faults(self, op: str) -> FaultSet:
        """A set of this one fault."""
        return FaultSet(
            [self.site], 0, [self.index], mask_of([self.bit]), OPS.index(op), step=self.step
        )


def leading(space: FaultSpace) -> int:
    """How many of the best bits of all weights are tried."""
    return max(GLOBAL, LEAST - PER_TENSOR * len(space.sites))


def weight_candidates(
    context: Context, space: FaultSpace, committed: FaultSet, gradients: Mapping[str, torch.Tensor]
) -> list[FaultSet]:
    """Single faults by |g · Δ|: the best overall, then the best of each tensor.

    A tensor without gradient (BatchNorm statistics, packed weights) is ranked by |Δ| and enters
    through its own best only. Words struck already are left out.

    Args:
        context: Settings and model; must carry the committed faults no more.
        space: Bits to choose from.
        committed: Faults that the next one joins.
        gradients: By parameter name, under the committed faults.
    """
    everywhere: list[Scored] = []
    best: list[Scored] = []
    taken = {(fault.tensor, fault.index) for fault in committed}
    for site, bits in zip(space.sites, space.bits, strict=True):
        if site.format.dtype not in (*RANKED, *BYTES):
            continue
        known = site.name in gradients
        k = leading(space) if known else PER_TENSOR
        if context.reach is None:
            ranked = _rank(context, site, bits, gradients, k)
        else:
            ranked = rank_reached(context, site, bits, gradients.get(site.name), k)
        columns = zip(*(column.tolist() for column in ranked), strict=True)
        rows = [Scored(score, site, index, bit) for score, index, bit in columns]
        rows = [row for row in rows if (site.name, row.index) not in taken]
        best += rows[:PER_TENSOR]
        everywhere += rows if known else []
    return chosen(everywhere, best, context.config.op, leading(space))


def chosen(
    everywhere: list[Scored], best: list[Scored], op: str, most: int = GLOBAL
) -> list[FaultSet]:
    """The ``most`` best of ``everywhere``, then those of ``best`` that are not among them."""
    first = heapq.nlargest(most, everywhere, key=lambda row: row.score)  # ties in model order
    return [row.faults(op) for row in dict.fromkeys([*first, *best])]


def _rank(
    context: Context,
    site: Site,
    bits: tuple[int, ...],
    gradients: Mapping[str, torch.Tensor],
    k: int,
) -> RankedBits:
    weight = struck_weight(context.model, site).detach()
    config = context.config
    rank = rank_bytes if weight.dtype in BYTES else rank_bits
    plain = torch.float32 if weight.dtype in BYTES else weight.dtype
    slopes = gradients.get(site.name)
    return rank(
        weight,
        torch.ones_like(weight, dtype=plain) if slopes is None else slopes,
        k,
        bits=bits,
        finite_only=not config.allow_nonfinite,
        direction=IMPLIED.get(config.op, config.direction),
    )
