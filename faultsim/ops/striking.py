"""Operators applied to the words of a tensor: on the host, on a device, and through the host."""

from __future__ import annotations

from typing import Any

import torch

from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError
from faultsim.ops._native import native
from faultsim.ops.arguments import Index, Patterns, checked_index, checked_patterns
from faultsim.ops.grid import launch, on_grid
from faultsim.ops.memory import flag_of, layout_of, native_words, touch
from faultsim.ops.operators import FIRST_OWN, OPS, compiled, numbered, strikes_bits

Columns = list[torch.Tensor | None]
"""Operands, masks and random bits; none where an operator knows none."""


def strike_(
    tensor: torch.Tensor,
    index: Index,
    number: int,
    operand: Patterns,
    mask: Patterns = -1,
    random: Patterns = 0,
) -> torch.Tensor:
    """Applies the operator of a number, its operands as columns of a fault set have them."""
    where = checked_index(tensor, index)
    n = len(where)
    columns: Columns = [None, None, None]
    if number <= OPS.index("replace"):
        columns[0] = checked_patterns(tensor, operand, n)
    else:
        columns = [
            checked_patterns(tensor, operand, n, narrow=False),
            checked_patterns(tensor, mask, n),
            checked_patterns(tensor, random, n, narrow=False),
        ]
    strike = _strike_on_grid if on_grid(tensor) else _strike_on_host
    saved = strike(tensor, where, number, columns)
    touch(tensor)
    return saved


def apply_columns_(
    tensor: torch.Tensor,
    index: Index,
    number: int,
    mask: Patterns,
    operand: Patterns,
    random: Patterns,
) -> torch.Tensor:
    """Applies the operator of a number to columns of a fault set."""
    known = compiled(numbered(number))
    given = mask if strikes_bits(known) else operand
    return strike_(tensor, index, number, given, mask, random)


def _strike_on_host(
    tensor: torch.Tensor, where: torch.Tensor, number: int, columns: Columns
) -> torch.Tensor:
    saved = torch.empty_like(where)
    native().corrupt_words(native_words(tensor), _faults(number, where, columns), saved.data_ptr())
    return saved


def _strike_on_grid(
    tensor: torch.Tensor, where: torch.Tensor, number: int, columns: Columns
) -> torch.Tensor:
    if number >= FIRST_OWN:
        return _strike_through_host(tensor, where, number, columns)
    saved = read(tensor, where)
    where, order = ascending(where, tensor.numel())
    faults = _faults(number, where, columns)
    places = order.data_ptr(), saved.data_ptr(), flag_of(tensor)
    launch("corrupt_words", tensor.device, native_words(tensor), faults, *places)
    return saved


def _strike_through_host(
    tensor: torch.Tensor, where: torch.Tensor, number: int, columns: Columns
) -> torch.Tensor:
    """Operators of one's own know the host alone: the struck words go there and come back.

    Indices on a device are looked at here, so that those outside are refused at once.
    """
    bad = where[(where < 0) | (where >= tensor.numel())]
    if len(bad):
        raise FaultError(f"index {int(bad[0])} is outside a tensor of {tensor.numel()} elements")
    places, index = torch.unique(where, return_inverse=True)
    words = _fetched(tensor, places)
    saved = _strike_on_host(words, index.cpu(), number, _on(words.device, columns))
    made: Columns = [_integers_of(words).to(tensor.device), None, None]
    _strike_on_grid(tensor, places, OPS.index("replace"), made)
    return saved.to(tensor.device)


def made_on_host(
    tensor: torch.Tensor, index: torch.Tensor, number: int, columns: Columns
) -> torch.Tensor:
    """(n,) int64 on the host, what an operator makes of each of some words, which stay."""
    words = _fetched(tensor, index.to(tensor.device).contiguous())
    _strike_on_host(words, torch.arange(len(words)), number, _on(words.device, columns))
    return _integers_of(words)


def corrupted(dtype: torch.dtype, op: int, operand: int, mask: int, random: int, word: int) -> int:
    """What the operator of a number makes of one word, both as int64 patterns."""
    words = native().Words(0, FORMATS[dtype].bits // 8, 1, (), (), layout_of(dtype))
    made: int = native().corrupted(words, op, operand, mask, random & (1 << 64) - 1, word)
    return made


def read(tensor: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """(n,) int64, the words at indices that were checked."""
    out = torch.empty_like(where)
    args = native_words(tensor), where.data_ptr(), len(where), out.data_ptr()
    if on_grid(tensor):
        launch("read_words", tensor.device, *args, flag_of(tensor))
    else:
        native().read_words(*args)
    return out


def ascending(where: torch.Tensor, numel: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices in ascending order and their places before; those of one word stay in their order."""
    if numel >= 1 << 31:
        return torch.sort(where, stable=True)
    narrow = where.clamp(-1, numel).int()  # sorted in half the time; what is outside stays outside
    places, order = torch.sort(narrow, stable=True)
    return places.long(), order


def _fetched(tensor: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Words of a tensor in one of their own, on the host."""
    return read(tensor, where).cpu().to(FORMATS[tensor.dtype].word).view(tensor.dtype)


def _integers_of(words: torch.Tensor) -> torch.Tensor:
    return words.view(FORMATS[words.dtype].word).long()


def _on(device: torch.device, columns: Columns) -> Columns:
    """Columns there, each in memory of its own."""
    return [c if c is None else c.to(device).contiguous() for c in columns]


def _faults(number: int, where: torch.Tensor, columns: Columns) -> Any:
    """The native description of faults, whose columns the caller holds."""
    parts = [(0, 0) if c is None else (c.data_ptr(), int(len(c) > 1)) for c in columns]
    return native().Faults(number, where.data_ptr(), len(where), *parts)
