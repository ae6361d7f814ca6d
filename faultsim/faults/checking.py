"""What makes a fault set one: no fault that cannot be, and none that clash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError, shown
from faultsim.faults.columns import popcount, too_wide
from faultsim.faults.fault import Fault, is_permanent
from faultsim.faults.site import Site
from faultsim.ops.operators import BIT_OPS, OPS, is_number, numbered, operand_of, takes_word

if TYPE_CHECKING:
    from faultsim.faults.faultset import FaultSet


def check(faults: FaultSet) -> None:
    """Narrows masks to their words, and refuses what no word has."""
    for site in faults.sites:
        if not isinstance(site, Site):
            raise FaultError(f"the sites of a fault set are Sites, not {shown(site)}")
    if len(faults) and (faults.site.min() < 0 or faults.site.max() >= len(faults.sites)):
        raise FaultError(f"a fault's site is out of range 0 to {len(faults.sites) - 1}")
    if not all(map(is_number, set(faults.op.tolist()))):
        raise FaultError(f"a fault's op is out of range 0 to {len(OPS) - 1}")
    for row in np.flatnonzero(_impossible(faults)):
        site, index, mask, number, operand, sample, step, _ = faults.table[:, row].tolist()
        times = (None if sample == -1 else sample, None if step == -1 else step)
        op = numbered(number)
        Fault(faults.sites[site], index, mask, op, operand_of(op, operand), *times)  # says why
        raise FaultError(f"fault {row} cannot be")
    widths = np.array([site.format.bits for site in faults.sites] or [64])[faults.site]
    faults.mask[:] &= np.where(widths < 64, (np.int64(1) << np.minimum(widths, 62)) - 1, -1)
    check_clashes(faults)


def _impossible(faults: FaultSet) -> npt.NDArray[np.bool_]:
    """Whether each row is a fault that :class:`Fault` would refuse."""
    sites = faults.sites
    if not len(faults):
        return np.zeros(0, bool)
    sizes = np.array([site.numel for site in sites])[faults.site]
    steps = np.array([site.steps for site in sites])[faults.site]
    widths = np.array([site.format.bits for site in sites])[faults.site]
    whole = np.array([s.kind == "weights" or not s.per_sample for s in sites])[faults.site]
    timed = np.array([site.needs_step for site in sites])[faults.site]
    replaced = np.isin(faults.op, [n for n in set(faults.op.tolist()) if takes_word(numbered(n))])
    shifted = faults.op == OPS.index("byte-shift")
    permanent = np.isin(faults.op, [OPS.index(op) for op in OPS if is_permanent(op)])
    return np.asarray(
        (faults.index < 0)
        | (faults.index >= sizes)
        | (faults.mask == 0)
        | too_wide(faults.mask, widths)
        | (replaced & too_wide(faults.operand, widths))
        | (shifted & (abs(faults.operand) > 7))
        | (faults.sample < -1)
        | (whole & (faults.sample >= 0))
        | (timed & (faults.step < 0) & ~permanent)
        | (faults.step < -1)
        | (faults.step >= np.maximum(steps, 0))
        | _absent(faults),
        dtype=np.bool_,
    )


def _absent(faults: FaultSet) -> npt.NDArray[np.bool_]:
    """Which faults strike an element that their step does not have."""
    absent = np.zeros(len(faults), bool)
    for number, site in enumerate(faults.sites):
        if site.shapes:
            inside = (faults.index >= 0) & (faults.index < site.numel) & (faults.step < site.steps)
            rows = np.flatnonzero((faults.site == number) & (faults.step >= 0) & inside)
            absent[rows] = ~site.has(faults.index[rows], faults.step[rows])
    return absent


def check_clashes(faults: FaultSet) -> None:
    """Refuses faults on one word whose masks share bits, or of which one takes the word whole."""
    if len(faults) < 2:
        return
    # One sample's fault clashes with an every-sample fault, so samples part words only
    # where every fault names its sample.
    sample = faults.sample if (faults.sample >= 0).all() else np.zeros_like(faults.sample)
    keys = (faults.site, faults.index, faults.step, sample)
    order = np.lexsort(keys)
    new = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    starts = np.flatnonzero(np.r_[True, new])
    mask, counts = faults.mask[order], np.diff(np.r_[starts, len(faults)])
    replaced = (faults.op[order] >= len(BIT_OPS)).astype(np.int64)
    crowded = (np.add.reduceat(replaced, starts) > 0) & (counts > 1)
    union = np.bitwise_or.reduceat(mask, starts)
    clash = (np.add.reduceat(popcount(mask), starts) != popcount(union)) | crowded
    if clash.any():
        row = order[starts[np.argmax(clash)]]
        name = faults.sites[faults.site[row]].name
        raise FaultError(
            f"faults clash on {name} element {faults.index[row]}: masks on one word must be "
            "disjoint, and an operator of whole words stands alone"
        )
