"""Faults in the hidden state of a selective scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError
from faultsim.formats import signed
from faultsim.ops.operators import Op, Operand, column_of, compiled, number_of


class StateFault(NamedTuple):
    """A fault in one word of the hidden state.

    It strikes after the update of its step and before that step is read out, and propagates from
    there, as an upset of the register that holds the state would.

    Attributes:
        channel: In 0 … dim − 1.
        state: In 0 … state − 1.
        step: In 0 … length − 1, in the order of the scan; None for every step, which is a
            permanent fault of the register.
        mask: Bits struck; for ``replace`` the new word.
        op: One of :data:`faultsim.ops.operators.OPS`, or one of your own, on the CPU.
        batch: One sample, or None for all.
        operand: As :class:`faultsim.Fault` has it.
        random: Random bits.
    """

    channel: int
    state: int
    step: int | None
    mask: int
    op: Op = "flip"
    batch: int | None = None
    operand: Operand = 0
    random: int = 0


def packed(
    faults: Sequence[StateFault], shape: tuple[int, int, int, int], dtype: torch.dtype
) -> torch.Tensor:
    """(n, 9) int64, by step.

    Columns are batch (−1 for all), channel, state, step, bits kept, bits toggled; and of operators
    that look at the word, which fill the bits that are not kept, number, operand and random bits.

    Args:
        faults: Those of one word in the order in which they strike.
        shape: Batch, channels, states and steps of the scan.
        dtype: Of the words of the state.

    Raises:
        FaultError: A fault outside the state, an unknown operator, or a mask too wide.
    """
    rows = [row for fault in faults for row in _rows(fault, shape, dtype)]
    rows.sort(key=lambda row: row[3])
    return torch.tensor(rows, dtype=torch.int64).view(-1, 9)


def _rows(
    fault: StateFault, shape: tuple[int, int, int, int], dtype: torch.dtype
) -> list[list[int]]:
    """One row, or one for each step."""
    steps = range(shape[3]) if fault.step is None else [fault.step]
    batch = -1 if fault.batch is None else fault.batch
    starts, what = (-1, 0, 0, 0), None
    rows = []
    for step in steps:
        place = (batch, fault.channel, fault.state, step)
        if not all(low <= at < end for low, at, end in zip(starts, place, shape, strict=True)):
            raise FaultError(
                f"{fault} lies outside a state of (batch, channel, state, step) {shape}"
            )
        what = what or _change(fault, dtype)
        rows.append([*place, *what])
    return rows


def _change(fault: StateFault, dtype: torch.dtype) -> list[int]:
    """Bits kept and toggled, operator, operand and random bits."""
    every, op = (1 << FORMATS[dtype].bits) - 1, compiled(fault.op)
    if not 0 <= fault.mask <= every:
        raise FaultError(f"{fault}: the mask has bits that a word of the state lacks")
    rest, number = every & ~fault.mask, number_of(op)
    if isinstance(op, str) and op in ("flip", "replace", "stuck-at-0", "stuck-at-1"):
        keep = {"flip": every, "replace": 0}.get(op, rest)
        toggle = 0 if op == "stuck-at-0" else fault.mask
        return [signed(keep), signed(toggle), 0, 0, 0]
    return [signed(rest), 0, number, column_of(op, fault.operand), signed(fault.random)]
