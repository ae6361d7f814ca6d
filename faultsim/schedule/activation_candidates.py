"""Candidates of the worst-case search in what a pass computes or is given."""

from __future__ import annotations

from math import prod

import numpy as np
import torch

from faultsim.faults import FaultSet, Site
from faultsim.ops import rank_bits
from faultsim.ops.rank_bytes import BYTES, rank_bytes
from faultsim.run.gradients import Values
from faultsim.schedule.candidates import GLOBAL, IMPLIED, PER_TENSOR, RANKED, Scored, chosen
from faultsim.schedule.context import Context
from faultsim.space import FaultSpace
from faultsim.targets.inputs import UNKNOWN
from faultsim.targets.samples import samples_first
from faultsim.targets.steps import key_of


def activation_candidates(
    context: Context, space: FaultSpace, committed: FaultSet, values: Values
) -> list[FaultSet]:
    """Single faults by the largest |g · Δ| of any sample in the first search batch.

    The fault itself strikes every sample. The best overall, then the best of each site.

    Args:
        context: Settings and model.
        space: Bits to choose from.
        committed: Faults that the next one joins.
        values: By site, under those, each with its gradient.
    """
    taken = {(fault.tensor, fault.index, fault.step) for fault in committed}
    everywhere: list[Scored] = []
    best: list[Scored] = []
    for site, bits in zip(space.sites, space.bits, strict=True):
        found = [
            row
            for step in range(site.steps) or [None]
            for row in _ranked(context, site, bits, step, values.get(key_of(site.name, step)))
            if (site.name, row.index, None if row.step < 0 else row.step) not in taken
        ]
        everywhere += found
        best += sorted(found, key=lambda row: -row.score)[:PER_TENSOR]
    return chosen(everywhere, best, context.config.op)


def _ranked(
    context: Context,
    site: Site,
    bits: tuple[int, ...],
    step: int | None,
    output: tuple[torch.Tensor, torch.Tensor] | None,
) -> list[Scored]:
    """The best bits of one pass, each element and bit once."""
    dtype = site.format.dtype
    if output is None or dtype not in (*RANKED, *BYTES):
        return []
    values, slopes = (samples_first(site, each, UNKNOWN) for each in output)
    shape = site.shapes[step or 0] if site.shapes else site.shape
    here = tuple(values.shape[1:])
    if here != shape and not (site.ragged and _inside(here, shape)):
        return []  # this batch has samples of another shape
    rank = rank_bytes if dtype in BYTES else rank_bits
    ranked = rank(
        values.contiguous(),
        slopes.contiguous(),
        4 * GLOBAL,  # one element may lead in many samples
        bits=bits,
        finite_only=not context.config.allow_nonfinite,
        direction=IMPLIED.get(context.config.op),
    )
    first: dict[tuple[int, int], Scored] = {}
    for score, word, bit in zip(*(column.tolist() for column in ranked), strict=True):
        element = word % prod(here)
        if here != site.shape:
            element = int(np.ravel_multi_index(np.unravel_index(element, here), site.shape))
        at = -1 if step is None else step
        first.setdefault((element, bit), Scored(score, site, element, bit, at))
    return list(first.values())


def _inside(here: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(here) == len(shape) and all(a <= b for a, b in zip(here, shape, strict=True))
