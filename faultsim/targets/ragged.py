"""Elements of samples that are not all of one shape, as images of different sizes are.

A fault names an element of the largest of them. A sample that has it is struck there. In one that
lacks it another of its elements is struck instead, so that every sample is exposed, and every
element of it alike: those that are there share the faults, and so do the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / the golden ratio
_WORD = (1 << 64) - 1


def stand_ins(
    index: Ints,
    mask: Ints,
    coordinates: Sequence[Ints],
    absent: npt.NDArray[np.bool_],
    shape: tuple[int, ...],
) -> list[Ints]:
    """The coordinates at which faults strike a sample.

    What stands for an absent element follows from its number and the bit struck by multiplicative
    hashing (Knuth, The Art of Computer Programming 3, 6.4), which spreads them evenly. It is never
    an element that another fault strikes, as long as there are others.

    Args:
        index: (n,) numbers of the elements, as faults have them.
        mask: (n,) their bits.
        coordinates: (n,) of each dimension, the place that each index names.
        absent: (n,) which of them the sample lacks.
        shape: Of the sample; it holds an element at least.
    """  # fmt: skip
    elements = prod(shape)
    found = np.zeros(len(index), np.int64)
    found[~absent] = np.ravel_multi_index([at[~absent] for at in coordinates], shape)
    taken = set(found[~absent].tolist())
    chosen: dict[int, int] = {}
    for row in np.flatnonzero(absent).tolist():
        word = int(index[row])
        if word not in chosen:
            chosen[word] = place = _free(_spread(word, int(mask[row]), elements), elements, taken)
            taken.add(place)
        found[row] = chosen[word]
    return [np.asarray(at, np.int64) for at in np.unravel_index(found, shape)]


def _spread(word: int, mask: int, elements: int) -> int:
    bit = (mask & -mask).bit_length() - 1
    return ((word * 64 + bit) * _GOLDEN & _WORD) * elements >> 64


def _free(place: int, elements: int, taken: set[int]) -> int:
    """The next element that is not taken; the first one where all are."""
    later = (at % elements for at in range(place, place + min(elements, len(taken) + 1)))
    return next((at for at in later if at not in taken), place)
