"""Struck words, by the memory they lie in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from faultsim.faults import FaultSet
from faultsim.ops import read_words
from faultsim.targets.weights import Holder

Ints = npt.NDArray[np.int64]

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """A tensor's storage; None where it has none."""
    try:
        return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):  # sparse and such, subclasses
        return None


def memory_of(tensor: torch.Tensor) -> int:
    """The address of a tensor's storage; 0 where it has none."""
    storage = storage_of(tensor)
    return 0 if storage is None else storage.data_ptr()


class Memory:
    """All words of a storage, as integers of a tensor's element size.

    Attributes:
        address: Of its first byte.
        words: (n,) over the whole storage.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        storage, size = tensor.untyped_storage(), tensor.element_size()
        empty = torch.empty(0, dtype=_WORDS[size], device=tensor.device)
        self.address = storage.data_ptr()
        self.words = empty.set_(storage, 0, (storage.nbytes() // size,), (1,))


class Struck(NamedTuple):
    """Words of one storage and what they become.

    Attributes:
        memory: Where they lie.
        places: (n,) offsets in words of the storage.
        values: (n,) the new words.
    """

    memory: Memory
    places: torch.Tensor
    values: torch.Tensor


@contextmanager
def struck(parts: Sequence[Struck], ledger: list[Struck]) -> Iterator[None]:
    """Words are changed meanwhile.

    Args:
        parts: Disjoint.
        ledger: Holds what was there before for as long as words are changed, so that whoever owns
            it can write it back if an interrupt comes between.
    """
    for memory, places, _ in parts:
        ledger.append(Struck(memory, places, memory.words[places]))
    try:
        for memory, places, values in parts:
            memory.words[places] = values
        yield
    finally:
        settle(ledger)


def settle(ledger: list[Struck]) -> None:
    """Writes back what a ledger holds; may be called again."""
    while ledger:
        memory, places, values = ledger[-1]
        memory.words[places] = values
        ledger.pop()


def struck_words(holders: Iterable[Holder], faults: FaultSet) -> list[Struck]:
    """What the faults of one set make of the words of some weights.

    Words that stay as they are (stuck at what they hold) are left out.

    Args:
        holders: In the order of ``faults.sites``, none of them packed.
        faults: In weights.
    """
    found = []
    for (_, part), holder in zip(faults.by_site(), holders, strict=True):
        words = read_words(holder.tensor, part.index).tolist()
        new: dict[int, int] = {}
        for fault, word in zip(part, words, strict=True):
            new[int(fault.index)] = fault.corrupt(new.get(int(fault.index), word))
        before = dict(zip(part.index.tolist(), words, strict=True))
        changed = {index: word for index, word in new.items() if word != before[index]}
        if changed:
            found.append(_at(holder.tensor, changed))
    return found


def _at(tensor: torch.Tensor, words: dict[int, int]) -> Struck:
    memory, shape = Memory(tensor), tuple(tensor.shape)
    index = np.array(list(words), dtype=np.int64)
    places = np.full(len(index), tensor.storage_offset())
    if shape:
        at = np.unravel_index(index, shape)
        places += sum(i * s for i, s in zip(at, tensor.stride(), strict=True))
    size = 8 * tensor.element_size()
    signed = memory.words.dtype != torch.uint8
    values = [word if signed else word & ((1 << size) - 1) for word in words.values()]
    device = tensor.device
    return Struck(
        memory,
        torch.from_numpy(places).to(device),
        torch.tensor(values, dtype=memory.words.dtype, device=device),
    )


def coordinates(tensor: torch.Tensor, part: Struck) -> tuple[Ints, Ints] | None:
    """Which struck words a tensor holds, and where.

    Args:
        tensor: Over the storage of ``part``.
        part: Struck words.

    Returns:
        Rows of ``part`` that lie in the tensor, and their coordinates, (rows, dimensions), -1 in a
        dimension that repeats one word; or None where that cannot be told.
    """
    if tensor.element_size() != part.memory.words.element_size():
        return None
    rest = part.places.cpu().numpy() - tensor.storage_offset()
    inside = rest >= 0
    found = np.zeros((len(rest), tensor.ndim), dtype=np.int64)
    reach = sum(
        (n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)
    )  # of the last word
    for dim in sorted(range(tensor.ndim), key=lambda d: tensor.stride()[d], reverse=True):
        size, step = tensor.shape[dim], tensor.stride(dim)
        if size == 1:
            continue
        if step == 0:
            found[:, dim] = -1
            continue
        reach -= (size - 1) * step
        if reach >= step:  # words are reached in several ways
            return None
        at = rest // step
        inside &= at < size
        found[:, dim] = at
        rest = rest - at * step
    inside &= rest == 0
    rows = np.flatnonzero(inside)
    return rows, found[rows]
