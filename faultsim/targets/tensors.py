"""The weights of a model: every distinct word it stores, by qualified name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from faultsim.errors import FaultError


def named_weights(
    model: nn.Module, *, integers: bool = False
) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers in the order of the module tree, each storage once.

    Tied tensors count under the first name, whether they are one object or two tensors over the
    same memory (a view of another, a transpose).

    Args:
        model: Any module.
        integers: Whether integer and bool buffers are wanted as well; floating buffers
            (BatchNorm statistics) always are.

    Raises:
        FaultError: Two tensors share words, but neither holds all of the other.
    """
    buffers = dict(model.named_buffers())
    floating = {name: b for name, b in buffers.items() if integers or b.is_floating_point()}
    tensors = dict(model.named_parameters()) | floating
    tied = _tied(tensors)
    yield from ((name, tensor) for name, tensor in tensors.items() if name not in tied)


def owner_of(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that holds the weight called ``name``, and the last part of the name.

    Raises:
        FaultError: There is no such module.
    """
    *path, leaf = name.split(".")
    owner = model
    for part in path:
        child = owner._modules.get(part)
        if child is None:
            raise FaultError(f"the model has no parameter or buffer {name!r}")
        owner = child
    return owner, leaf


def tensor_of(owner: nn.Module, leaf: str) -> torch.Tensor | None:
    """The parameter or buffer of that name, if the module itself has one."""
    found: torch.Tensor | None = owner._parameters.get(leaf)
    return owner._buffers.get(leaf) if found is None else found


def _tied(tensors: dict[str, torch.Tensor]) -> set[str]:
    """Names whose words all belong to another tensor of the mapping."""
    by_storage: dict[tuple[str, int], list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.layout == torch.strided and not tensor.is_meta and tensor.numel():
            key = str(tensor.device), tensor.untyped_storage().data_ptr()
            by_storage.setdefault(key, []).append(name)
    tied: set[str] = set()
    for names in by_storage.values():
        keepers: list[str] = []
        for name in sorted(names, key=lambda n: -tensors[n].nbytes):  # stable: first name wins
            if any(_covers(tensors, keeper, name) for keeper in keepers):
                tied.add(name)
            else:
                keepers.append(name)
    return tied


def _covers(tensors: dict[str, torch.Tensor], keeper: str, name: str) -> bool:
    """Whether every word of ``name`` is a word of ``keeper``."""
    (start, end), (low, high) = _span(tensors[keeper]), _span(tensors[name])
    if end <= low or high <= start:
        return False
    if tensors[keeper].nbytes == end - start and start <= low and high <= end:
        return True
    shared = np.isin(_bytes(tensors[name]), _bytes(tensors[keeper]))
    if shared.any() and not shared.all():
        raise FaultError(f"{keeper} and {name} share a part of their memory; exclude one of them")
    return bool(shared.all())


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """Address of the first byte, and one past the last, that ``tensor`` can touch."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((size - 1) * stride for size, stride in steps)
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


def _bytes(tensor: torch.Tensor) -> npt.NDArray[np.int64]:
    """Address of the first byte of every word."""
    address = np.full((), tensor.data_ptr(), dtype=np.int64)
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        address = np.add.outer(address, np.arange(size) * stride * tensor.element_size())
    return np.asarray(address, dtype=np.int64).ravel()
