"""Events of a tile: a box of elements in the last dimensions of a tensor."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from faultsim.faults.patterns.event import Elements, Size
from faultsim.faults.patterns.extent import Extent, Ints


class Tile(Elements, tag="tile", kw_only=True):
    """A tile of an activation.

    Attributes:
        size: Of the tile, in the last dimensions: ``[4, 4]``.
        channels: Whether it lies in ``one`` place of the dimensions before those, or in ``all``.
        aligned: Whether it begins at multiples of its size, else anywhere; it lies inside.
    """

    size: Annotated[tuple[Size, ...], Meta(min_length=1, max_length=8)]
    channels: Literal["one", "all"] = "one"
    aligned: bool = False

    def _boxes(self, extent: Extent) -> tuple[int, ...]:
        """How many tiles begin along each of its dimensions."""
        sizes = extent.shape[-len(self.size) :]
        if len(extent.shape) < len(self.size):
            return (0,)
        if self.aligned:
            return tuple(whole // tile for whole, tile in zip(sizes, self.size, strict=True))
        return tuple(max(0, whole - t + 1) for whole, t in zip(sizes, self.size, strict=True))

    def _channels(self, extent: Extent) -> int:
        return prod(extent.shape[: -len(self.size)])

    def groups(self, extent: Extent) -> int:
        return prod(self._boxes(extent)) * (self._channels(extent) if self.channels == "one" else 1)

    def elements(self, extent: Extent, group: int) -> Ints:
        boxes = self._boxes(extent)
        channel, box = divmod(group, prod(boxes))
        first = np.unravel_index(box, boxes)
        step = self.size if self.aligned else (1,) * len(self.size)
        spans = [
            slice(at * by, at * by + n) for at, by, n in zip(first, step, self.size, strict=True)
        ]
        sizes = extent.shape[-len(self.size) :]
        inside = np.arange(prod(sizes)).reshape(sizes)[tuple(spans)].ravel()
        before = (
            np.arange(self._channels(extent)) if self.channels == "all" else np.array([channel])
        )
        return np.asarray((before[:, None] * prod(sizes) + inside).ravel())

    def said(self, extent: Extent) -> str:
        every = "" if self.channels == "one" else f" in {self._channels(extent)} channels"
        return f"tile of {' × '.join(map(str, self.size))} words{every}"
