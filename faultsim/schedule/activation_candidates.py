"""Candidates of the worst-case search in what a pass computes or is given."""

from __future__ import annotations

from faultsim.faults import FaultSet
from faultsim.ops import rank_bits
from faultsim.run.gradients import Values
from faultsim.schedule.candidates import GLOBAL, IMPLIED, PER_TENSOR, RANKED, Scored, chosen
from faultsim.schedule.context import Context
from faultsim.space import FaultSpace
from faultsim.targets.samples import ANY, samples_first


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
    taken = {(fault.tensor, fault.index) for fault in committed}
    everywhere: list[Scored] = []
    best: list[Scored] = []
    for site, bits in zip(space.sites, space.bits, strict=True):
        if site.name not in values or site.format.dtype not in RANKED:
            continue
        words, slopes = (samples_first(site, each, ANY) for each in values[site.name])
        if words.shape[1:] != site.shape:
            continue  # this batch has samples of another shape
        ranked = rank_bits(
            words.contiguous(),
            slopes.contiguous(),
            4 * GLOBAL,  # one element may lead in many samples
            bits=bits,
            finite_only=not context.config.allow_nonfinite,
            direction=IMPLIED.get(context.config.op),
        )
        first: dict[tuple[int, int], Scored] = {}
        for score, index, bit in zip(*(column.tolist() for column in ranked), strict=True):
            element = index % site.numel
            if (site.name, element) not in taken:
                first.setdefault((element, bit), Scored(score, site, element, bit))
        everywhere += first.values()
        best += list(first.values())[:PER_TENSOR]
    return chosen(everywhere, best, context.config.op)
