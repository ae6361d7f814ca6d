"""Which tensors lie in the memory of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch

Tensors = Mapping[str, torch.Tensor]


def tied(tensors: Tensors) -> dict[str, str | None]:
    """Tensors that are not to be counted, since others hold their words.

    Tied are two tensors over the same memory, whether they are one object or not (a view of
    another, a transpose). The larger counts, of equal ones the first.

    Args:
        tensors: Strided, with memory of their own.

    Returns:
        By name, None where another tensor has all of its words; the name of one that has a part
        of them.
    """
    found: dict[str, str | None] = {}
    for names in _neighbours(tensors):
        keepers: list[str] = []
        for name in sorted(names, key=lambda n: -tensors[n].nbytes):  # stable: first name wins
            shares = {keeper: _share(tensors[keeper], tensors[name]) for keeper in keepers}
            if "all" in shares.values():
                found[name] = None
            elif "part" in shares.values():
                found[name] = next(keeper for keeper in keepers if shares[keeper] == "part")
            else:
                keepers.append(name)
    return found


def _neighbours(tensors: Tensors) -> Iterator[list[str]]:
    """Groups whose spans of addresses touch each other, in the order given."""
    order = {name: at for at, name in enumerate(tensors)}
    spans = sorted((str(t.device), *_span(t), name) for name, t in tensors.items())
    group: list[str] = []
    place, reach = "", 0
    for device, start, end, name in spans:
        if device != place or start >= reach:
            yield sorted(group, key=order.__getitem__)
            group, place, reach = [], device, end
        group.append(name)
        reach = max(reach, end)
    yield sorted(group, key=order.__getitem__)


def _share(keeper: torch.Tensor, other: torch.Tensor) -> str:
    """Whether all, a part or none of the words of ``other`` are words of ``keeper``."""
    (start, end), (low, high) = _span(keeper), _span(other)
    if end <= low or high <= start:
        return "none"
    if keeper.nbytes == end - start and start <= low and high <= end:
        return "all"
    shared = np.isin(_bytes(other), _bytes(keeper))
    return "all" if shared.all() else "part" if shared.any() else "none"


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """Address of the first byte, and one past the last, that ``tensor`` can touch."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((size - 1) * stride for size, stride in steps)
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


def _bytes(tensor: torch.Tensor) -> npt.NDArray[np.int64]:
    """Address of every byte."""
    address = np.asarray(tensor.data_ptr() + np.arange(tensor.element_size()), dtype=np.int64)
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        address = np.add.outer(address, np.arange(size) * stride * tensor.element_size())
    return address.ravel()
