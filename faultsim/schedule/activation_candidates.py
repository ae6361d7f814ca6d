"""Candidates of the worst-case search in the outputs of modules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.autograd.graph import GradientEdge, get_gradient_edge

from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.ops import rank_bits
from faultsim.schedule.candidates import GLOBAL, IMPLIED, PER_TENSOR, RANKED, Scored, chosen
from faultsim.schedule.context import Context
from faultsim.space import FaultSpace
from faultsim.targets.activations import OutputHooks
from faultsim.targets.passes import PassHooks
from faultsim.targets.samples import ANY, samples_first
from faultsim.workload import metrics


def activation_candidates(
    context: Context, space: FaultSpace, committed: FaultSet
) -> list[FaultSet]:
    """Single faults by the largest |g · Δ| of any image in the first validation batch.

    The fault itself strikes every image. The best overall, then the best of each site.

    Args:
        context: Settings and model.
        space: Bits to choose from.
        committed: Faults that the next one joins; armed meanwhile.
    """
    outputs = outputs_and_gradients(context, committed)
    taken = {(fault.tensor, fault.index) for fault in committed}
    everywhere: list[Scored] = []
    best: list[Scored] = []
    for site, bits in zip(space.sites, space.bits, strict=True):
        if site.name not in outputs or site.format.dtype not in RANKED:
            continue
        values, slopes = (samples_first(site, each, ANY) for each in outputs[site.name])
        if values.shape[1:] != site.shape:
            continue  # this batch has samples of another shape
        ranked = rank_bits(
            values.contiguous(),
            slopes.contiguous(),
            4 * GLOBAL,  # one element may lead in many images
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


def outputs_and_gradients(
    context: Context, committed: FaultSet, watch: Callable[[], PassHooks] | None = None
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Every module output of the first validation batch, by site, with the loss's gradient.

    Args:
        context: Settings and model.
        committed: Faults armed meanwhile.
        watch: Called once they are armed, to see what the scans are given; removed at the end.
    """
    bench = context.bench
    part = bench.golden("val").split.first(bench.batch_size)
    images = part.images.to(bench.device).requires_grad_(True)
    outputs: dict[str, torch.Tensor] = {}
    edges: dict[str, GradientEdge] = {}

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.requires_grad:  # a module may change it in place later
            outputs[name], edges[name] = tensor.detach().clone(), get_gradient_edge(tensor)
        return tensor

    with Injector(bench.model, committed):
        hooks: list[PassHooks] = [OutputHooks(bench.model, visit)]
        hooks += [] if watch is None else [watch()]
        try:
            for hook in hooks:
                hook.register()
            loss = metrics.loss(bench.model(images), part.labels.to(bench.device))
            grads = torch.autograd.grad(loss, list(edges.values()), allow_unused=True)
        finally:
            for hook in hooks:
                hook.remove()
    return {
        name: (value, grad.nan_to_num())
        for (name, value), grad in zip(outputs.items(), grads, strict=True)
        if grad is not None
    }
