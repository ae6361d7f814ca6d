"""Corrupt, save and restore the words of a tensor, in place and bit for bit.

Indices are row-major over the logical shape, whatever the memory layout. Patterns are int64.
Duplicate indices compose in array order. Nothing is written unless every index is in range; where
indices are on a CUDA device, nobody waits for them: those out of range are skipped, and
:func:`faultsim.ops.check_device_flag` raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import FaultError, InjectionError
from faultsim.formats import FORMATS, signed
from faultsim.ops._native import native
from faultsim.ops.grid import check_device, device_flag, launch, on_grid

Index = int | Sequence[int] | npt.NDArray[Any] | torch.Tensor
Patterns = Index

OPS = ("flip", "stuck-at-0", "stuck-at-1", "replace")
"""Corruption operators: XOR, AND NOT and OR with the mask, and replacement by the operand."""


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


def apply_(tensor: torch.Tensor, index: Index, op: str, operand: Patterns) -> torch.Tensor:
    """The operator called ``op``, one of :data:`faultsim.faults.OPS`; see :func:`flip_`."""
    return _corrupt(tensor, index, op, operand)


def _corrupt(tensor: torch.Tensor, index: Index, op: str, operand: Patterns) -> torch.Tensor:
    if torch.compiler.is_compiling():
        where, patterns = torch.as_tensor(index).view(-1), torch.as_tensor(operand).view(-1)
        saved: torch.Tensor = _corrupt_op(tensor, where, patterns, OPS.index(op))
        return saved
    where = _checked_index(tensor, index)
    patterns = _checked_patterns(tensor, operand, len(where))
    words, stride = native_words(tensor), int(len(patterns) > 1)
    if on_grid(tensor):
        saved = _read(tensor, where)
        where, order = _sorted(where, tensor.numel())
        rest: tuple[int, ...] = order.data_ptr(), saved.data_ptr(), _flag(tensor)
    else:
        saved = torch.empty_like(where)
        rest = (saved.data_ptr(),)
    job = words, OPS.index(op), where.data_ptr(), len(where), patterns.data_ptr(), stride, *rest
    if on_grid(tensor):
        launch("corrupt_words", tensor.device, *job)
    else:
        native().corrupt_words(*job)
    touch(tensor)
    return saved


@torch.library.custom_op(
    "faultsim::corrupt_",
    mutates_args=("tensor",),
    # torch 2.4 cannot infer a schema from postponed annotations.
    schema="(Tensor(a!) tensor, Tensor index, Tensor operand, int op) -> Tensor",
)
def _corrupt_op(
    tensor: torch.Tensor, index: torch.Tensor, operand: torch.Tensor, op: int
) -> torch.Tensor:
    """The corrupting operators as torch.compile sees them; eager calls skip its 15 µs."""
    return _corrupt(tensor, index, OPS[op], operand)


@_corrupt_op.register_fake
def _(tensor: torch.Tensor, index: torch.Tensor, operand: torch.Tensor, op: int) -> torch.Tensor:
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


def _checked_patterns(tensor: torch.Tensor, operand: Patterns, n: int) -> torch.Tensor:
    """The operands beside the tensor; checked unless they are on a device already."""
    patterns = _integers(operand)
    if len(patterns) not in (1, n):
        raise FaultError(f"{len(patterns)} masks for {n} indices; give one, or as many as indices")
    bits = 8 * tensor.element_size()
    unchecked = patterns.is_cuda and tensor.is_cuda
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
    return native().Words(address, tensor.element_size(), tensor.numel(), sizes, strides)


def touch(tensor: torch.Tensor) -> None:
    """Lets autograd see that the tensor changed."""
    if not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)


def _flag(tensor: torch.Tensor) -> int:
    return device_flag(tensor.device).data_ptr()
