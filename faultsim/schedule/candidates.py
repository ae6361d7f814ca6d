"""Candidates of the worst-case search: the bits that first-order loss change ranks highest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from faultsim.faults import OPS, FaultSet, Site
from faultsim.injector import struck_weight
from faultsim.ops import RankedBits, rank_bits
from faultsim.schedule.context import Context
from faultsim.space import FaultSpace

RANKED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
GLOBAL = 32  # best bits over all tensors
PER_TENSOR = 1  # best bits of each tensor, so that no layer goes unseen
IMPLIED = {"stuck-at-0": "1to0", "stuck-at-1": "0to1"}


def weight_candidates(
    context: Context, space: FaultSpace, committed: FaultSet, gradients: Mapping[str, torch.Tensor]
) -> list[FaultSet]:
    """Single faults by |g · Δ|: the best overall, then the best of each tensor.

    A tensor without gradient (BatchNorm statistics) is ranked by |Δ| and enters through its own
    best only. Words struck already are left out.

    Args:
        context: Settings and model; must carry the committed faults no more.
        space: Bits to choose from.
        committed: Faults that the next one joins.
        gradients: By parameter name, under the committed faults.
    """
    everywhere: list[tuple[float, FaultSet]] = []
    best: list[tuple[float, FaultSet]] = []
    taken = {(fault.tensor, fault.index) for fault in committed}
    for site, bits in zip(space.sites, space.bits, strict=True):
        if site.format.dtype not in RANKED:
            continue
        known = site.name in gradients
        ranked = _rank(context, site, bits, gradients, GLOBAL if known else PER_TENSOR)
        rows = [r for r in _faults(context, site, ranked) if not _struck(r[1], taken)]
        best += rows[:PER_TENSOR]
        everywhere += rows if known else []
    everywhere.sort(key=lambda row: -row[0])  # stable: ties stay in model order
    chosen = dict.fromkeys(faults for _, faults in [*everywhere[:GLOBAL], *best])
    return list(chosen)


def _rank(
    context: Context,
    site: Site,
    bits: tuple[int, ...],
    gradients: Mapping[str, torch.Tensor],
    k: int,
) -> RankedBits:
    weight = struck_weight(context.bench.model, site).detach().cpu()
    config = context.config
    return rank_bits(
        weight,
        gradients.get(site.name, torch.ones_like(weight)),
        k,
        bits=bits,
        finite_only=not config.allow_nonfinite,
        direction=IMPLIED.get(config.op, config.direction),
    )


def _faults(context: Context, site: Site, ranked: RankedBits) -> Iterator[tuple[float, FaultSet]]:
    op = OPS.index(context.config.op)
    for score, index, bit in zip(*(column.tolist() for column in ranked), strict=True):
        mask = -(1 << 63) if bit == 63 else 1 << bit
        yield score, FaultSet([site], 0, [index], mask, op, checked=True)


def _struck(faults: FaultSet, taken: set[tuple[str, int]]) -> bool:
    return any((fault.tensor, fault.index) in taken for fault in faults)
