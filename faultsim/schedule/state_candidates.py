"""Candidates of the worst-case search in the hidden states of scans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultsim.faults import FaultSet, Site
from faultsim.ops import rank_bits
from faultsim.ops.scan_reference import hidden_states, state_gradients
from faultsim.ops.state_fault import packed
from faultsim.run.gradients import Gradients
from faultsim.schedule.candidates import GLOBAL, IMPLIED, PER_TENSOR, Scored, chosen
from faultsim.schedule.context import Context
from faultsim.space import FaultSpace
from faultsim.targets.inputs import UNKNOWN
from faultsim.targets.states import Scan, ScanHooks, row_elements

AT_ONCE = 1 << 25  # words of states that are ranked together


def state_candidates(
    context: Context, space: FaultSpace, committed: FaultSet, gradients: Gradients
) -> list[FaultSet]:
    """Single faults by the largest |g · Δ| of any sample in the first search batch.

    The fault itself strikes every sample. The best overall, then the best of each site.

    Args:
        context: Settings and model.
        space: Bits to choose from.
        committed: Faults that the next one joins; armed meanwhile.
        gradients: Of the loss.
    """
    taken = {(fault.tensor, fault.index, fault.step) for fault in committed}
    chosen_bits = zip(space.sites, space.bits, strict=True)
    known = {site.name: (site, bits) for site, bits in chosen_bits}
    everywhere: list[Scored] = []
    best: list[Scored] = []
    for scan, dy in _scans(gradients, committed):
        sites = [known.get(name) for name in scan.names]
        ranked: dict[Site, list[Scored]] = {each[0]: [] for each in sites if each}
        first = 0
        for pieces in _pieces(scan.arguments, dy):
            shares = zip(sites, *(piece.chunk(len(sites), dim=1) for piece in pieces), strict=True)
            for each, states, slopes in shares:
                if each:
                    site, bits = each
                    starts = row_elements(site, len(dy), UNKNOWN)[first:]
                    ranked[site] += _rank(context, site, bits, states, slopes, starts)
            first += len(pieces[0])
        for found in ranked.values():
            rows = [r for r in _distinct(found) if (r.site.name, r.index, r.step) not in taken]
            everywhere += rows[:GLOBAL]
            best += rows[:PER_TENSOR]
    return chosen(everywhere, best, context.config.op)


def _distinct(rows: list[Scored]) -> list[Scored]:
    """The best first, each bit once: where several images share it, with its highest score."""
    found: dict[tuple[object, ...], Scored] = {}
    for row in sorted(rows, key=lambda row: -row.score):
        found.setdefault(row[1:], row)
    return list(found.values())


def _scans(gradients: Gradients, committed: FaultSet) -> Iterator[tuple[Scan, torch.Tensor]]:
    """Every scan of the batch, with the loss's gradient of its output."""
    seen: dict[str, Scan] = {}

    def visit(scan: Scan) -> list[Any]:
        seen.setdefault(scan.name, scan)  # of the first pass, as the outputs by that name
        return []

    outputs = gradients.of_outputs(committed, lambda model: ScanHooks(model, visit))
    for name, scan in seen.items():
        if name in outputs:
            yield scan, outputs[name][1]


def _pieces(
    arguments: dict[str, Any], dy: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Hidden states and their gradients, (batch, dim, state, length), some images at a time."""
    compute = torch.float64 if dy.dtype == torch.float64 else torch.float32

    def plain(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().cpu().to(compute)

    A, bias, softplus = plain(arguments["A"]), arguments["delta_bias"], arguments["delta_softplus"]
    bias = None if bias is None else plain(bias)
    rows = [plain(t) for t in (*(arguments[key] for key in ("u", "delta", "B", "C")), dy)]
    shape = (*dy.shape[:2], A.shape[1], dy.shape[2])
    strikes = arguments["state_faults"]
    faults = packed(strikes, shape, compute) if strikes else None
    size = max(1, AT_ONCE // (A.numel() * shape[3]))
    for first in range(0, shape[0], size):
        u, delta, B, C, slope = (row[first : first + size] for row in rows)
        part = None if faults is None else _of_images(faults, first, first + size)
        states = hidden_states(u, delta, A, B, bias, softplus, part)
        slopes = state_gradients(slope, delta, A, C, bias, softplus)
        yield _by_channel(states), _by_channel(slopes).nan_to_num()


def _of_images(faults: torch.Tensor, first: int, end: int) -> torch.Tensor:
    batch = faults[:, 0]
    kept = faults[(batch < 0) | ((batch >= first) & (batch < end))].clone()
    kept[:, 0] = torch.where(kept[:, 0] < 0, -1, kept[:, 0] - first)
    return kept


def _by_channel(steps: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(steps, dim=-1).flatten(1, 2)


def _rank(
    context: Context,
    site: Site,
    bits: tuple[int, ...],
    states: torch.Tensor,
    slopes: torch.Tensor,
    starts: npt.NDArray[np.int64],
) -> list[Scored]:
    """The best bits of some rows, which begin with the elements ``starts``."""
    ranked = rank_bits(
        states.contiguous(),
        slopes.contiguous(),
        4 * GLOBAL,  # one word may lead in many images
        bits=bits,
        finite_only=not context.config.allow_nonfinite,
        direction=IMPLIED.get(context.config.op),
    )
    rows = []
    for score, position, bit in zip(*(column.tolist() for column in ranked), strict=True):
        row, rest = divmod(position, states[0].numel())
        index, step = divmod(rest, states.shape[-1])
        if step < site.steps:
            rows.append(Scored(score, site, int(starts[row]) + index, bit, step))
    return rows
