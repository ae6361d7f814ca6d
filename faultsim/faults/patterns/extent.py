"""A tensor as a pattern sees it: its words in memory and in its own coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Words(NamedTuple):
    """What an event strikes in one tensor.

    Attributes:
        index: (n,) int64, distinct row-major positions in the tensor's logical shape.
        mask: (n,) int64 bit patterns, none of them 0.
    """

    index: Ints  # type: ignore[assignment]  # shadows tuple.index
    mask: Ints

    @property
    def bits(self) -> int:
        """Number of bits struck."""
        return int(np.unpackbits(np.ascontiguousarray(self.mask).view(np.uint8)).sum())


@dataclass(frozen=True)
class Extent:
    """The size and order of a tensor's words, of which the first begins at an aligned address.

    Bits have addresses as well: word after word in the order of memory, and within a word from the
    least significant up, which is how little-endian machines number bytes.

    Attributes:
        shape: The logical shape; of what a pass computes, that of one sample.
        width: Bits of a word.
        chosen: Those of them that may be struck, ascending.
        order: The dimensions from the slowest to the fastest in memory; row-major unless given.
        at_rest: Whether the words lie in memory between passes, as weights do.
    """

    shape: tuple[int, ...]
    width: int
    chosen: tuple[int, ...]
    order: tuple[int, ...] = ()
    at_rest: bool = True

    @cached_property
    def words(self) -> int:
        return prod(self.shape)

    @property
    def bits(self) -> int:
        return self.words * self.width

    @property
    def whole(self) -> bool:
        """Whether every bit of a word may be struck."""
        return len(self.chosen) == self.width

    def windows(self, size: int, step: int = 1) -> list[int]:
        """First bits of so many neighbours within a word that may all be struck."""
        chosen = set(self.chosen)
        starts = range(0, self.width - size + 1, step)
        return [start for start in starts if chosen.issuperset(range(start, start + size))]

    def index(self, words: Ints) -> Ints:
        """Row-major positions of words that are numbered in the order of memory."""
        if self.order in ((), tuple(range(len(self.shape)))):
            return words
        places = np.unravel_index(words, [self.shape[axis] for axis in self.order])
        by_axis = dict(zip(self.order, places, strict=True))
        coordinates = [by_axis[axis] for axis in range(len(self.shape))]
        return np.asarray(np.ravel_multi_index(coordinates, self.shape), np.int64)

    def at(self, bits: Ints) -> Words:
        """The words of some bits, given by ascending addresses; those past the end are left out."""
        word, bit = np.divmod(bits[bits < self.bits], self.width)
        starts = np.flatnonzero(np.r_[True, np.diff(word) != 0])
        mask = np.bitwise_or.reduceat(np.uint64(1) << bit.astype(np.uint64), starts)
        return Words(self.index(word[starts]), mask.view(np.int64))
