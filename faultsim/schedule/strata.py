"""The parts of a space that faults may be drawn from in unequal numbers."""

from __future__ import annotations

from typing import NamedTuple

from faultsim.run.outcome import Cell
from faultsim.space import FaultSpace


class Stratum(NamedTuple):
    """A part of the space, and what tells it from the others."""

    labels: Cell
    space: FaultSpace


def strata_of(space: FaultSpace, by: str) -> list[Stratum]:
    """The strata by ``bit``, ``layer``, both, or ``none``: the whole space.

    Words, which operators strike that look at all of one, have no strata by bit.
    """
    found = [Stratum({}, space)]
    if "layer" in by:
        parts = ((stratum, stratum.space.layers()) for stratum in found)
        found = [Stratum({**s.labels, "layer": n}, p) for s, own in parts for n, p in own.items()]
    if "bit" in by and space.unit == "bit":
        bits = ((stratum, stratum.space.by_bit()) for stratum in found)
        found = [Stratum({**s.labels, "bit": n}, p) for s, own in bits for n, p in own.items()]
    return found
