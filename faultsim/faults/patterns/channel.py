"""Events of a channel: all elements at one place along a dimension."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from faultsim.faults.patterns.event import Elements
from faultsim.faults.patterns.extent import Extent, Ints

Axis = Annotated[int, Meta(ge=-8, le=7)]


class Channel(Elements, tag="channel", kw_only=True):
    """One channel.

    Attributes:
        axis: The dimension that numbers channels; of one sample, where there are samples.
    """

    axis: Axis = 0

    def _axis(self, extent: Extent) -> int | None:
        rank = len(extent.shape)
        return self.axis % rank if -rank <= self.axis < rank else None

    def groups(self, extent: Extent) -> int:
        axis = self._axis(extent)
        return 0 if axis is None else extent.shape[axis]

    def elements(self, extent: Extent, group: int) -> Ints:
        axis = self._axis(extent)
        assert axis is not None
        places = np.arange(extent.words).reshape(extent.shape)
        return places.take(group, axis).ravel()

    def said(self, extent: Extent) -> str:
        axis = self._axis(extent)
        rest = [size for at, size in enumerate(extent.shape) if at != axis]
        return f"channel of {' × '.join(map(str, rest or [1]))} words"
