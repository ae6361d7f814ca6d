"""The words that a tensor stores, whatever its dtype and class: what can be struck in place."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.parameter import is_lazy

from faultsim.dtypes import FORMATS
from faultsim.ops.memory import overlaps

_QUANTISED = {
    torch.qint8: torch.int8,
    torch.quint8: torch.uint8,
    torch.qint32: torch.int32,
    torch.quint4x2: torch.uint8,
    torch.quint2x4: torch.uint8,
}
_PACKED = (torch.quint4x2, torch.quint2x4)
_FLOAT4 = getattr(torch, "float4_e2m1fn_x2", None)


def stored_words(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor | str]]:
    """The words of a tensor, or of each inner tensor of a subclass, with their names.

    Inner tensors are called ``name:attribute``, as ``__tensor_flatten__`` lists them (torchao's
    ``weight:qdata`` and ``weight:scale``, a DTensor's ``weight:_local_tensor``).

    Args:
        name: Of the tensor.
        tensor: Any.

    Yields:
        Name, and what :func:`words_of` says.
    """
    inner = inner_tensors(tensor)
    if inner is None:
        yield name, words_of(tensor)
        return
    for attribute, part in inner.items():
        yield from stored_words(f"{name}:{attribute}", part)


def inner_tensors(tensor: torch.Tensor) -> dict[str, torch.Tensor] | None:
    """What a tensor subclass is made of, by attribute; None for a tensor with words of its own."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        return None
    found = {attribute: getattr(tensor, attribute) for attribute in flatten()[0]}
    return {name: part for name, part in found.items() if isinstance(part, torch.Tensor)}


def words_of(tensor: torch.Tensor) -> torch.Tensor | str:
    """A view of what a tensor stores, of a dtype that has a bit format; or why there is none.

    A quantised tensor is viewed as its integers (a packed one of less than a byte an element as a
    row of bytes), a complex one through its real view, which ends in a dimension of two; any other
    as it is. What is written to the view is written to the tensor.

    Args:
        tensor: Any.

    Returns:
        The view, without gradient, or the reason in a few words.
    """
    reason = _unreachable(tensor)
    if reason is not None:
        return reason
    words = _view(tensor.detach())
    if words.dtype not in FORMATS:
        return f"{str(tensor.dtype).removeprefix('torch.')} has no bit format"
    return words


def _unreachable(tensor: torch.Tensor) -> str | None:
    """Why no word of the tensor can be struck, None if one can."""
    if is_lazy(tensor):
        return "it is not initialised: run a batch through the model first"
    if tensor.is_meta:
        return "it is on the meta device, without memory"
    if tensor.layout != torch.strided or tensor.is_nested:
        layout = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        return f"its layout is {layout}, which keeps no word for each element"
    if not tensor.numel():
        return "it is empty"
    if tensor.dtype == torch.bool:
        return "bool has one bit, whose other seven torch requires to be 0"
    if tensor.is_conj() or tensor.is_neg():
        return "it is a lazily conjugated or negated view: clone it"
    if overlaps(tensor):
        return "several of its elements share one word (expanded): clone it"
    return None if _has_memory(tensor) else f"{type(tensor).__name__} has no memory of its own"


def _has_memory(tensor: torch.Tensor) -> bool:
    try:
        return tensor.untyped_storage().data_ptr() != 0
    except (RuntimeError, NotImplementedError):
        return False


def _view(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_complex():
        return torch.view_as_real(tensor)
    if tensor.dtype == _FLOAT4:  # two numbers a byte
        return tensor.view(torch.uint8)
    if not tensor.is_quantized:
        return tensor
    words = torch.empty(0, dtype=_QUANTISED[tensor.dtype], device=tensor.device)
    storage = tensor.untyped_storage()
    if tensor.dtype in _PACKED:
        return words.set_(storage)
    place = tensor.storage_offset(), tensor.size(), tensor.stride()
    return words.set_(storage, *place)
