"""Fault sets that say which events struck them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from faultsim.faults.faultset import FaultSet

MOST = 8
"""Words of an event that are printed one by one."""


class EventSet(FaultSet):
    """The faults of some events: an ordinary fault set, which also prints what struck.

    Attributes:
        events: What struck, one text an event.
        ends: How many faults there are up to the end of each.
    """

    __slots__ = ("ends", "events")

    events: tuple[str, ...]
    ends: tuple[int, ...]

    @classmethod
    def told(cls, parts: Iterable[FaultSet], events: Sequence[str]) -> EventSet:
        """The faults of several events, of which no two strike one word.

        Args:
            parts: Those of each event.
            events: What struck, in as many texts.
        """
        listed = list(parts)
        whole = listed[0] if len(listed) == 1 else FaultSet.join(listed)
        made: EventSet = object.__new__(cls)
        for name in FaultSet.__slots__:
            object.__setattr__(made, name, getattr(whole, name))
        object.__setattr__(made, "events", tuple(events))
        ends = np.cumsum([len(part) for part in listed]).tolist()
        object.__setattr__(made, "ends", tuple(ends))
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return EventSet.told, (self._parts(), self.events)

    def _parts(self) -> list[FaultSet]:
        starts = (0, *self.ends)[: len(self.ends)]
        return [self[start:end] for start, end in zip(starts, self.ends, strict=True)]

    def __str__(self) -> str:
        lines = []
        for text, part in zip(self.events, self._parts(), strict=True):
            lines += [text, *(f"  {fault}" for fault in part[:MOST])]
            if len(part) > MOST:
                lines.append(f"  and {len(part) - MOST:,} more words")
        return "\n".join(lines)
