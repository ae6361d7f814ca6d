"""Corrupt, save and restore the words of a tensor, in place and bit for bit.

Indices are row-major over the logical shape, whatever the memory layout. Patterns are int64.
Duplicate indices compose in array order. Nothing is written unless every index is in range; where
indices are on a CUDA device, nobody waits for them: those out of range are skipped, and
:func:`faultsim.ops.check_device_flag` raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import FaultError, InjectionError
from faultsim.formats import FORMATS, signed
from faultsim.ops._native import native
from faultsim.ops.grid import check_device, device_flag, launch, on_grid
from faultsim.ops.operators import (
    FIRST_OWN,
    OPS,
    Operator,
    column_of,
    compiled,
    number_of,
    numbered,
    strikes_bits,
    takes_number,
)

Index = int | Sequence[int] | npt.NDArray[Any] | torch.Tensor
Patterns = Index
Operands = Patterns | float | Sequence[float]


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
    return _read(tensor, _checked_index(tensor, index))


def _read(tensor: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(where)
    args = native_words(tensor), where.data_ptr(), len(where), out.data_ptr()
    if on_grid(tensor):
        launch("read_words", tensor.device, *args, _flag(tensor))
    else:
        native().read_words(*args)
    return out


def _sorted(where: torch.Tensor, numel: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices in ascending order and their places before; those of one word stay in their order."""
    if numel >= 1 << 31:
        return torch.sort(where, stable=True)
    narrow = where.clamp(-1, numel).int()  # sorted in half the time; what is outside stays outside
    ascending, order = torch.sort(narrow, stable=True)
    return ascending.long(), order


def restore_(tensor: torch.Tensor, index: Index, saved: torch.Tensor) -> None:
    """Writes back what a corrupting operator returned, last fault first.

    Args:
        tensor: The tensor it struck.
        index: The indices it was given.
        saved: (n,) int64, what it returned.

    Raises:
        FaultError: As :func:`flip_`; nothing is written.
    """
    where = _checked_index(tensor, index)
    if saved.dtype != torch.int64 or saved.shape != where.shape:
        raise FaultError(f"saved words must be {len(where)} int64, as the operator returned them")
    saved = saved.to(tensor.device).contiguous()
    words = native_words(tensor)
    if on_grid(tensor):
        where, order = _sorted(where, tensor.numel())
        args = where.data_ptr(), order.data_ptr(), len(where), saved.data_ptr()
        launch("restore_words", tensor.device, words, *args, _flag(tensor))
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


def strike_(
    tensor: torch.Tensor,
    index: Index,
    number: int,
    operand: Patterns,
    mask: Patterns = -1,
    random: Patterns = 0,
) -> torch.Tensor:
    """Applies the operator of a number, its operands as columns of a fault set have them."""
    where = _checked_index(tensor, index)
    n = len(where)
    columns: Columns = [None, None, None]
    if number <= OPS.index("replace"):
        columns[0] = _checked_patterns(tensor, operand, n)
    else:
        columns = [
            _checked_patterns(tensor, operand, n, narrow=False),
            _checked_patterns(tensor, mask, n),
            _checked_patterns(tensor, random, n, narrow=False),
        ]
    strike = _strike_on_grid if on_grid(tensor) else _strike_on_host
    saved = strike(tensor, where, number, columns)
    touch(tensor)
    return saved


Columns = list[torch.Tensor | None]
"""Operands, masks and random bits; none where an operator knows none."""


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
    saved = _read(tensor, where)
    where, order = _sorted(where, tensor.numel())
    faults = _faults(number, where, columns)
    places = order.data_ptr(), saved.data_ptr(), _flag(tensor)
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


def _fetched(tensor: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Words of a tensor in one of their own, on the host."""
    return _read(tensor, where).cpu().to(FORMATS[tensor.dtype].word).view(tensor.dtype)


def _integers_of(words: torch.Tensor) -> torch.Tensor:
    return words.view(FORMATS[words.dtype].word).long()


def _on(device: torch.device, columns: Columns) -> Columns:
    """Columns there, each in memory of its own."""
    return [c if c is None else c.to(device).contiguous() for c in columns]


def _faults(number: int, where: torch.Tensor, columns: Columns) -> Any:
    """The native description of faults, whose columns the caller holds."""
    parts = [(0, 0) if c is None else (c.data_ptr(), int(len(c) > 1)) for c in columns]
    return native().Faults(number, where.data_ptr(), len(where), *parts)


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


def _integers(values: Index) -> torch.Tensor:
    """``values`` as a contiguous 1-D int64 tensor; unsigned 64-bit patterns wrap."""
    if isinstance(values, torch.Tensor):
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise FaultError(f"indices and masks must be integers, not {values.dtype}")
        return values.to(values.device, torch.int64).reshape(-1).contiguous()
    if isinstance(values, (int, np.integer)):
        values = [int(values)]
    if isinstance(values, Sequence):
        if not all(isinstance(v, (int, np.integer)) for v in values):
            raise FaultError("indices and masks must be integers")
        return torch.tensor([signed(int(v)) for v in values], dtype=torch.int64, device="cpu")
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise FaultError(f"indices and masks must be integers, not {array.dtype}")
    return torch.from_numpy(array.astype(np.int64).ravel())


def _checked_index(tensor: torch.Tensor, index: Index) -> torch.Tensor:
    """The indices beside the tensor; checked unless they are on a device already."""
    check_tensor(tensor)
    where = _integers(index)
    if where.is_cuda and tensor.is_cuda:
        return where.to(tensor.device)
    where = where if where.is_cpu else where.cpu()
    bad = native().first_out_of_bounds(where.data_ptr(), len(where), tensor.numel())
    if bad >= 0:
        raise FaultError(
            f"index {int(where[bad])} is outside a tensor of shape {tuple(tensor.shape)}, which "
            f"has {tensor.numel()} elements"
        )
    return where if tensor.is_cpu else where.to(tensor.device)


def _checked_patterns(
    tensor: torch.Tensor, operand: Patterns, n: int, narrow: bool = True
) -> torch.Tensor:
    """A column beside the tensor; checked to fit its words unless it is on a device already."""
    patterns = _integers(operand)
    if len(patterns) not in (1, n):
        raise FaultError(f"{len(patterns)} masks for {n} indices; give one, or as many as indices")
    bits = 8 * tensor.element_size()
    unchecked = not narrow or (patterns.is_cuda and tensor.is_cuda)
    if bits < 64 and len(patterns) and not unchecked:
        low, high = (int(end) for end in torch.aminmax(patterns))
        if low < -(1 << (bits - 1)) or high >= 1 << bits:
            wide = low if low < 0 else high
            raise FaultError(f"mask {wide:#x} is wider than the {bits} bits of {tensor.dtype}")
    return patterns if tensor.is_cpu and patterns.is_cpu else patterns.to(tensor.device)


def check_tensor(tensor: torch.Tensor) -> None:
    """Raises FormatError or InjectionError unless the tensor's words can be struck in place."""
    usual = tensor.layout == torch.strided and tensor.is_contiguous() and not tensor.is_neg()
    if usual and tensor.is_cpu and tensor.dtype in FORMATS:
        return
    if tensor.dtype not in FORMATS:
        from faultsim.formats import format_of

        format_of(tensor.dtype)  # raises, naming the dtypes that have a format
    if tensor.layout != torch.strided:
        raise InjectionError(f"only strided tensors can be struck, not {tensor.layout}")
    check_device(tensor.device)
    if not tensor.is_contiguous() and overlaps(tensor):
        raise InjectionError("an expanded or overlapping tensor cannot be struck; clone it first")
    if tensor.is_neg():
        raise InjectionError("a lazily negated view has no words of its own; clone it first")


def overlaps(tensor: torch.Tensor) -> bool:
    """Whether two elements share memory, as those of an expanded tensor do."""
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += (size - 1) * stride
    return False


def native_words(tensor: torch.Tensor) -> Any:
    """The native description of a checked tensor."""
    flat = tensor.is_contiguous()
    sizes, strides = ((), ()) if flat else (tuple(tensor.shape), tensor.stride())
    try:
        address = tensor.data_ptr()
    except RuntimeError:
        raise InjectionError(
            "this tensor has no memory of its own (inside torch.func or a fake tensor?); strike "
            "the model outside the transform"
        ) from None
    layout = _layout(tensor.dtype)
    return native().Words(address, tensor.element_size(), tensor.numel(), sizes, strides, layout)


@cache
def _layout(dtype: torch.dtype) -> tuple[int, bool, int, int]:
    """Exponent bits, whether there is a sign, what is special and the bias of a format."""
    fmt = FORMATS[dtype]
    special = 2 if fmt.name.endswith("uz") else 1 if fmt.name.endswith(("fn", "fnu")) else 0
    half = 1 << fmt.exponent >> 1
    return fmt.exponent, fmt.signed, special, half if special == 2 else half - 1


def touch(tensor: torch.Tensor) -> None:
    """Lets autograd see that the tensor changed."""
    if not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)


def _flag(tensor: torch.Tensor) -> int:
    return device_flag(tensor.device).data_ptr()


def corrupted(dtype: torch.dtype, op: int, operand: int, mask: int, random: int, word: int) -> int:
    """What the operator of a number makes of one word, both as int64 patterns."""
    words = native().Words(0, FORMATS[dtype].bits // 8, 1, (), (), _layout(dtype))
    made: int = native().corrupted(words, op, operand, mask, random & (1 << 64) - 1, word)
    return made
