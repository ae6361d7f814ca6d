"""The numbers of a space's bits, or words: what lies at each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from faultsim.faults import Site
from faultsim.faults.columns import Ints
from faultsim.formats import mask_of


class Numbering:
    """Bits or words of some sites, numbered from 0.

    Site by site, element by element (row-major; step by step within an element, or where steps
    differ in shape, element by element within a step), from the least significant selected bit up.
    """

    def __init__(self, sites: Sequence[Site], bits: Sequence[tuple[int, ...]], unit: str) -> None:
        """Numbers them.

        Args:
            sites: At least one.
            bits: The selected bits of the words of each, ascending.
            unit: What is numbered, ``"bit"`` or ``"word"``.
        """
        self._sites, self._bits, self._of_bits = sites, bits, unit == "bit"
        self._steps: Ints = np.array([site.steps for site in sites], dtype=np.int64)
        units = [len(chosen) if self._of_bits else 1 for chosen in bits]
        self._widths: Ints = np.array(units, dtype=np.int64)
        parts = [(n, *part) for n, site in enumerate(sites) for part in _parts(site)]
        self._site_of, self._step_of, words = np.array(parts, dtype=np.int64).T
        sizes = words * self._widths[self._site_of]
        self._ends: Ints = np.cumsum(sizes, dtype=np.int64)
        self._starts: Ints = self._ends - sizes

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def sizes(self) -> list[int]:
        """How many are of each site."""
        sizes = np.bincount(self._site_of, self._ends - self._starts)
        found: list[int] = sizes.astype(np.int64).tolist()
        return found

    @cached_property
    def _table(self) -> npt.NDArray[np.uint8]:
        """(sites, 64) the selected bits of each, for every draw to look up."""
        table = np.zeros((len(self._bits), 64), dtype=np.uint8)
        for row, bits in enumerate(self._bits):
            table[row, : len(bits)] = bits
        return table

    @cached_property
    def _masks(self) -> Ints:
        """(sites,) the selected bits of each as a mask."""
        return np.array(list(map(mask_of, self._bits)), dtype=np.int64)

    def at(self, position: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Number of the site, index, mask and step at each number, in the shape of these.

        Steps are -1 where sites have none.
        """
        part = np.searchsorted(self._ends, position, side="right")
        number = self._site_of[part]
        offset, per_word = position - self._starts[part], self._widths[number]
        if self._of_bits:
            mask = np.int64(1) << self._table[number, offset % per_word].astype(np.int64)
        else:
            mask = self._masks[number]
        index, step = self._elements(part, offset // per_word)
        return number, index, mask, step

    def _elements(self, part: Ints, word: Ints) -> tuple[Ints, Ints]:
        """Index and step of words, by their numbers within parts."""
        number, at = self._site_of[part], self._step_of[part]
        steps = self._steps[number]
        index, step = np.divmod(word, np.maximum(steps, 1))
        step[steps == 0] = -1
        for row in np.unique(part[at >= 0]) if (at >= 0).any() else ():
            own = part == row
            site, step[own] = self._sites[self._site_of[row]], self._step_of[row]
            index[own] = site.indices(word[own], int(self._step_of[row]))
        return index, step


def _parts(site: Site) -> list[tuple[int, int]]:
    """Step and words of the parts in which a site's words are numbered; step -1 is all steps."""
    if not site.shapes:
        return [(-1, site.words)]
    return [(step, prod(shape)) for step, shape in enumerate(site.shapes)]
