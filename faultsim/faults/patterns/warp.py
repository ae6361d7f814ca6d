"""Events of a GPU: a lane or whole warps, where thread *i* computes word *i* in memory."""

from __future__ import annotations

import numpy as np

from faultsim.faults.patterns.event import Elements, Size, Sizes, fixed, words
from faultsim.faults.patterns.extent import Extent, Ints


class Threads(Elements, kw_only=True):
    """Work that is dealt out in warps.

    Attributes:
        warp: Threads of a warp.
        period: Words from one strike to the next; that of a warp unless given.
        times: How many strikes: warps that the faulty unit was given.
        cut: Whether strikes past the end of the tensor are left out; otherwise all are inside.
    """

    warp: Size = 32
    period: Size | None = None
    times: Sizes = 1
    cut: bool = False

    def __post_init__(self) -> None:
        """Refuses strikes that overlap; the reader says where they stand."""
        super().__post_init__()
        if self.step % self.warp:
            raise ValueError(f"period {self.step} is no multiple of the warp's {self.warp} threads")

    @property
    def step(self) -> int:
        return self.warp if self.period is None else self.period

    def warps(self, extent: Extent) -> int:
        """Warps with which a run of strikes may begin."""
        if self.cut:
            return -(-extent.words // self.warp)
        last = extent.words - (fixed(self.times) - 1) * self.step
        return max(0, last // self.warp)

    def threads(self, extent: Extent, warp: int, lanes: Ints) -> Ints:
        """The elements of some lanes, in each warp struck from one on."""
        starts = warp * self.warp + self.step * np.arange(fixed(self.times))
        found = (starts[:, None] + lanes).ravel()
        return extent.index(found[found < extent.words])

    def after(self) -> str:
        times = fixed(self.times)
        return "" if times == 1 else f", {times} times every {words(self.step)}"


class Lane(Threads, tag="lane", kw_only=True):
    """One lane: the word of one thread in each warp."""

    def groups(self, extent: Extent) -> int:
        return min(self.warps(extent) * self.warp, extent.words)

    def elements(self, extent: Extent, group: int) -> Ints:
        warp, lane = divmod(group, self.warp)
        return self.threads(extent, warp, np.array([lane]))

    def said(self, extent: Extent) -> str:
        return f"lane of {self.warp}{self.after()}"


class Warp(Threads, tag="warp", kw_only=True):
    """All threads of each warp."""

    def groups(self, extent: Extent) -> int:
        return self.warps(extent)

    def elements(self, extent: Extent, group: int) -> Ints:
        return self.threads(extent, group, np.arange(self.warp))

    def said(self, extent: Extent) -> str:
        return f"warp of {words(self.warp)}{self.after()}"
