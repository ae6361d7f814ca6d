"""Which tensors have words to strike, and where these lie, as the native code is told."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from faultsim.dtypes import FORMATS
from faultsim.errors import InjectionError
from faultsim.formats import format_of
from faultsim.ops._native import native
from faultsim.ops.grid import check_device, device_flag


def check_tensor(tensor: torch.Tensor) -> None:
    """Raises FormatError or InjectionError unless the tensor's words can be struck in place."""
    usual = tensor.layout == torch.strided and tensor.is_contiguous() and not tensor.is_neg()
    if usual and tensor.is_cpu and tensor.dtype in FORMATS:
        return
    if tensor.dtype not in FORMATS:
        format_of(tensor.dtype)  # raises, naming the dtypes that have a format
    if tensor.layout != torch.strided:
        raise InjectionError(f"only strided tensors can be struck, not {tensor.layout}")
    check_device(tensor.device)
    if overlaps(tensor):
        raise InjectionError("an expanded or overlapping tensor cannot be struck; clone it first")
    if tensor.is_neg():
        raise InjectionError("a lazily negated view has no words of its own; clone it first")


def overlaps(tensor: torch.Tensor) -> bool:
    """Whether two elements share memory, as those of an expanded tensor do."""
    if tensor.is_contiguous():
        return False
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
    layout = layout_of(tensor.dtype)
    return native().Words(address, tensor.element_size(), tensor.numel(), sizes, strides, layout)


@cache
def layout_of(dtype: torch.dtype) -> tuple[int, bool, int, int]:
    """Exponent bits, whether there is a sign, what is special and the bias of a format."""
    fmt = FORMATS[dtype]
    special = 2 if fmt.name.endswith("uz") else 1 if fmt.name.endswith(("fn", "fnu")) else 0
    half = 1 << fmt.exponent >> 1
    return fmt.exponent, fmt.signed, special, half if special == 2 else half - 1


def touch(tensor: torch.Tensor) -> None:
    """Lets autograd see that the tensor changed."""
    if not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)


def flag_of(tensor: torch.Tensor) -> int:
    """The address where kernels on the tensor's device say that an index was outside."""
    return device_flag(tensor.device).data_ptr()
