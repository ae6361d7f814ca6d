"""Corrupt, save and restore the words of a tensor, in place and bit for bit.

Indices are row-major over the logical shape, whatever the memory layout. Patterns are int64.
Duplicate indices compose in array order. Nothing is written unless every index is in range; where
indices are on a CUDA device, nobody waits for them: those out of range are skipped, and
:func:`faultsim.ops.check_device_flag` raises.
"""

from __future__ import annotations

from typing import Any

import torch

from faultsim.errors import FaultError
from faultsim.ops._native import native
from faultsim.ops.arguments import Index, Operands, Patterns, checked_index
from faultsim.ops.grid import launch, on_grid
from faultsim.ops.memory import flag_of, native_words, touch
from faultsim.ops.operators import OPS, Operator, column_of, compiled, number_of, takes_number
from faultsim.ops.striking import ascending, read, strike_


def flip_(tensor: torch.Tensor, index: Index, mask: Patterns) -> torch.Tensor:
    """Inverts the bits of ``mask`` in the words at ``index``.

    Args:
        tensor: Any dtype with a bit format, on the CPU or a CUDA device, of any strides that do
            not overlap. Changed in place, on the device's current stream; its autograd version is
            raised.
        index: (n,) positions in the flattened tensor.
        mask: (n,) bit patterns, or one for all.

    Returns:
        (n,) int64, the words before each fault; :func:`restore_` takes them back.

    Raises:
        FaultError: An index outside the tensor, a mask wider than its words, or lengths that
            differ. Nothing is written.
        FormatError: The dtype has no bit format.
        InjectionError: An expanded or overlapping tensor, or one without storage of its own.
    """
    return _corrupt(tensor, index, "flip", mask)


def stuck_at_0_(tensor: torch.Tensor, index: Index, mask: Patterns) -> torch.Tensor:
    """Clears the bits of ``mask``; otherwise as :func:`flip_`."""
    return _corrupt(tensor, index, "stuck-at-0", mask)


def stuck_at_1_(tensor: torch.Tensor, index: Index, mask: Patterns) -> torch.Tensor:
    """Sets the bits of ``mask``; otherwise as :func:`flip_`."""
    return _corrupt(tensor, index, "stuck-at-1", mask)


def replace_(tensor: torch.Tensor, index: Index, word: Patterns) -> torch.Tensor:
    """Replaces the words at ``index`` by ``word``; otherwise as :func:`flip_`."""
    return _corrupt(tensor, index, "replace", word)


def read_words(tensor: torch.Tensor, index: Index) -> torch.Tensor:
    """(n,) int64, the words at ``index``, sign-extended; errors as :func:`flip_`."""
    return read(tensor, checked_index(tensor, index))


def restore_(tensor: torch.Tensor, index: Index, saved: torch.Tensor) -> None:
    """Writes back what a corrupting operator returned, last fault first.

    Args:
        tensor: The tensor it struck.
        index: The indices it was given.
        saved: (n,) int64, what it returned.

    Raises:
        FaultError: As :func:`flip_`; nothing is written.
    """
    where = checked_index(tensor, index)
    if saved.dtype != torch.int64 or saved.shape != where.shape:
        raise FaultError(f"saved words must be {len(where)} int64, as the operator returned them")
    saved = saved.to(tensor.device).contiguous()
    words = native_words(tensor)
    if on_grid(tensor):
        where, order = ascending(where, tensor.numel())
        args = where.data_ptr(), order.data_ptr(), len(where), saved.data_ptr()
        launch("restore_words", tensor.device, words, *args, flag_of(tensor))
    else:
        native().restore_words(words, where.data_ptr(), len(where), saved.data_ptr())
    touch(tensor)


def apply_(
    tensor: torch.Tensor,
    index: Index,
    op: str | Operator,
    operand: Operands = 0,
    *,
    mask: Patterns = -1,
    random: Patterns = 0,
) -> torch.Tensor:
    """Applies an operator; otherwise as :func:`flip_`.

    Args:
        tensor: See :func:`flip_`.
        index: See :func:`flip_`.
        op: One of :data:`faultsim.faults.OPS`, one of your own, or its import path.
        operand: (n,) or one for all: bit patterns (of ``flip``, ``stuck-at-0`` and ``stuck-at-1``
            the mask), numbers of bytes, or numbers, as the operator takes them.
        mask: (n,) or one: the bits that the operator can change, if it is none of the first four.
        random: (n,) or one: the random bits that it is given.
    """
    known = compiled(op)
    number = number_of(known)
    columns = _columns(known, operand)
    if torch.compiler.is_compiling():
        rest = (torch.as_tensor(mask).view(-1), torch.as_tensor(random).view(-1))
        saved: torch.Tensor = _corrupt_op(
            tensor, torch.as_tensor(index).view(-1), columns, number, *rest
        )
        return saved
    return strike_(tensor, index, number, columns, mask, random)


def _columns(op: str | Operator, operand: Operands) -> Any:
    """Operands as they stand in columns: numbers as the bits of float64."""
    if not takes_number(op):
        compiling = torch.compiler.is_compiling()
        return torch.as_tensor(operand).view(-1) if compiling else operand
    if isinstance(operand, float | int):
        return torch.tensor([column_of(op, operand)], dtype=torch.int64)
    return torch.as_tensor(operand, dtype=torch.float64).contiguous().view(-1).view(torch.int64)


def _corrupt(tensor: torch.Tensor, index: Index, op: str, operand: Patterns) -> torch.Tensor:
    if torch.compiler.is_compiling():
        where, patterns = torch.as_tensor(index).view(-1), torch.as_tensor(operand).view(-1)
        saved: torch.Tensor = _corrupt_op(tensor, where, patterns, OPS.index(op))
        return saved
    return strike_(tensor, index, OPS.index(op), operand)


@torch.library.custom_op(
    "faultsim::corrupt_",
    mutates_args=("tensor",),
    # torch 2.4 cannot infer a schema from postponed annotations.
    schema="(Tensor(a!) tensor, Tensor index, Tensor operand, int op, Tensor? mask=None, "
    "Tensor? random=None) -> Tensor",
)
def _corrupt_op(
    tensor: torch.Tensor,
    index: torch.Tensor,
    operand: torch.Tensor,
    op: int,
    mask: torch.Tensor | None = None,
    random: torch.Tensor | None = None,
) -> torch.Tensor:
    """The corrupting operators as torch.compile sees them; eager calls skip its 15 µs."""
    rest = (-1 if mask is None else mask, 0 if random is None else random)
    return strike_(tensor, index, op, operand, *rest)


@_corrupt_op.register_fake
def _(
    tensor: torch.Tensor,
    index: torch.Tensor,
    operand: torch.Tensor,
    op: int,
    mask: torch.Tensor | None = None,
    random: torch.Tensor | None = None,
) -> torch.Tensor:
    return torch.empty(index.shape, dtype=torch.int64, device=tensor.device)
