"""Struck words, by the memory they lie in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from faultsim.dtypes import FORMATS
from faultsim.faults import FaultSet, Site
from faultsim.ops import Patch, read_words
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
    """Words of one storage and what they become, each for one sample of a batch.

    Attributes:
        memory: Where they lie.
        samples: (n,) whose each of them is.
        places: (n,) offsets in words of the storage.
        values: (n,) the new words.
    """

    memory: Memory
    samples: Ints
    places: Ints
    values: torch.Tensor

    def rows(self, rows: Ints | npt.NDArray[np.bool_]) -> Struck:
        """Some of them."""
        kept = torch.from_numpy(np.asarray(rows)).to(self.values.device)
        return Struck(self.memory, self.samples[rows], self.places[rows], self.values[kept])


class Undo(NamedTuple):
    """What words held before: (n,) of one storage."""

    memory: Memory
    places: torch.Tensor
    values: torch.Tensor


@contextmanager
def struck(parts: Sequence[Struck], ledger: list[Undo]) -> Iterator[None]:
    """Words are changed meanwhile.

    Args:
        parts: Disjoint.
        ledger: Holds what was there before for as long as words are changed, so that whoever owns
            it can write it back if an interrupt comes between.
    """
    before = [_undo(part) for part in parts]
    ledger += before
    try:
        for part, (memory, places, _) in zip(parts, before, strict=True):
            memory.words[places] = part.values
        yield
    finally:
        settle(ledger)


def _undo(part: Struck) -> Undo:
    words = part.memory.words
    places = torch.from_numpy(part.places).to(words.device)
    return Undo(part.memory, places, words[places])


def settle(ledger: list[Undo]) -> None:
    """Writes back what a ledger holds; may be called again."""
    while ledger:
        memory, places, values = ledger[-1]
        memory.words[places] = values
        ledger.pop()


def struck_words(
    holders: Callable[[Site], Holder], faults: Mapping[int, FaultSet]
) -> dict[int, Struck]:
    """By address of a storage, what faults make of its words.

    Words that stay as they are (stuck at what they hold) are left out.

    Args:
        holders: Where a weight lives, if it is not packed.
        faults: By sample, in weights.
    """
    of_sites: defaultdict[Site, list[tuple[int, FaultSet]]] = defaultdict(list)
    for sample, each in faults.items():
        for site, part in each.by_site():
            of_sites[site].append((sample, part))
    found: defaultdict[int, list[Struck]] = defaultdict(list)
    for site, parts in of_sites.items():
        new = _made(holders(site).tensor, parts)
        found[new.memory.address].append(new)
    return {address: joined(parts) for address, parts in found.items()}


def _made(tensor: torch.Tensor, parts: Sequence[tuple[int, FaultSet]]) -> Struck:
    """What faults make of the words of a weight, all struck at once in words of their own."""
    samples = np.repeat([sample for sample, _ in parts], [len(part) for _, part in parts])
    table = np.concatenate([part.table for _, part in parts], axis=1)
    word = np.stack([samples, table[1]])
    (samples, index), slot = np.unique(word, axis=1, return_inverse=True)
    fmt = FORMATS[tensor.dtype]
    before = read_words(tensor, index).cpu().to(fmt.word)
    after = before.clone()
    table[0], table[1] = 0, slot.ravel()
    Patch([after.view(tensor.dtype)], table).strike()
    memory, changed = Memory(tensor), (before != after).numpy()
    values = after.view(memory.words.dtype).to(tensor.device)
    return Struck(memory, samples, _places(tensor, index), values).rows(changed)


def joined(parts: Sequence[Struck]) -> Struck:
    """Words of several, all of one storage, as one."""
    if len(parts) == 1:
        return parts[0]
    samples, places = (np.concatenate(of) for of in zip(*(p[1:3] for p in parts), strict=True))
    return Struck(parts[0].memory, samples, places, torch.cat([part.values for part in parts]))


def _places(tensor: torch.Tensor, index: Ints) -> Ints:
    """Offsets in words of the storage, by row-major positions."""
    places: Ints = np.full(len(index), tensor.storage_offset())
    if shape := tuple(tensor.shape):
        at = np.unravel_index(index, shape)
        places += sum(i * s for i, s in zip(at, tensor.stride(), strict=True))
    return places


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
    rest = part.places - int(tensor.storage_offset())
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
