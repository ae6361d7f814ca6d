"""Faults in the hidden state of a selective scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from faultsim.errors import FaultError
from faultsim.formats import FORMATS, signed
from faultsim.ops.words import OPS


class StateFault(NamedTuple):
    """A fault in one word of the hidden state.

    It strikes after the update of its step and before that step is read out, and propagates from
    there, as an upset of the register that holds the state would.

    Attributes:
        channel: In 0 … dim − 1.
        state: In 0 … state − 1.
        step: In 0 … length − 1, in the order of the scan.
        mask: Bits struck; for ``replace`` the new word.
        op: ``flip``, ``stuck-at-0``, ``stuck-at-1`` or ``replace``.
        batch: One sample, or None for all.
    """

    channel: int
    state: int
    step: int
    mask: int
    op: str = "flip"
    batch: int | None = None


def packed(
    faults: Sequence[StateFault], shape: tuple[int, int, int, int], dtype: torch.dtype
) -> torch.Tensor:
    """(n, 6) int64: batch (−1 for all), channel, state, step, bits kept, bits toggled; by step.

    Args:
        faults: Those of one word in the order in which they strike.
        shape: Batch, channels, states and steps of the scan.
        dtype: Of the words of the state.

    Raises:
        FaultError: A fault outside the state, an unknown operator, or a mask too wide.
    """
    every = (1 << FORMATS[dtype].bits) - 1
    rows = sorted((_row(fault, shape, every) for fault in faults), key=lambda row: row[3])
    return torch.tensor(rows, dtype=torch.int64)


def _row(fault: StateFault, shape: tuple[int, int, int, int], every: int) -> list[int]:
    batch = -1 if fault.batch is None else fault.batch
    place = (batch, fault.channel, fault.state, fault.step)
    starts = (-1, 0, 0, 0)
    if not all(low <= at < end for low, at, end in zip(starts, place, shape, strict=True)):
        raise FaultError(f"{fault} lies outside a state of (batch, channel, state, step) {shape}")
    if fault.op not in OPS:
        raise FaultError(f"unknown operator {fault.op!r}: use one of {', '.join(OPS)}")
    if not 0 <= fault.mask <= every:
        raise FaultError(f"{fault}: the mask has bits that a word of the state lacks")
    keep = {"flip": every, "replace": 0}.get(fault.op, every & ~fault.mask)
    toggle = 0 if fault.op == "stuck-at-0" else fault.mask
    return [*place, signed(keep), signed(toggle)]
