"""A fault model: kinds of events with their probabilities, how often they come, and the source."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from faultsim.faults.patterns import AnyEvent
from faultsim.faults.patterns.event import SURE
from faultsim.files import Record


class FaultModel(Record, kw_only=True):
    """What hardware does, as a file says it.

    Attributes:
        source: Where the figures are from.
        event: Kinds of events, whose probabilities add up to 1.
        notes: What is assumed or incomplete.
        fit_per_mbit: Events in 10⁹ hours and 2²⁰ bits of the memory; None where nothing is known.
        name: Of the file, without its ending.
    """

    source: str
    event: Annotated[list[AnyEvent], Meta(min_length=1)]
    notes: str = ""
    fit_per_mbit: Annotated[float, Meta(ge=0)] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Refuses probabilities that are none; the reader says where they stand."""
        total = sum(event.probability for event in self.event)
        if abs(total - 1) > SURE:
            raise ValueError(f"event: the probabilities add up to {total:g}, not 1")

    def to_json(self) -> dict[str, Any]:
        """All of it, with a digest of what faults depend on."""
        return {"digest": self.digest, "content": msgspec.to_builtins(self)}

    @property
    def digest(self) -> str:
        """SHA-256 of the events and their rate."""
        text = msgspec.json.encode((self.event, self.fit_per_mbit))
        return hashlib.sha256(text).hexdigest()
