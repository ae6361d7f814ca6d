"""One trial: a fault set and the samples it is tried on."""

from __future__ import annotations

from dataclasses import dataclass

from faultsim.faults import FaultSet
from faultsim.run.outcome import Cell
from faultsim.workload.workload import REPORTED


@dataclass(frozen=True)
class Trial:
    """A fault set and the samples it is tried on.

    Attributes:
        faults: Armed together, for every sample.
        cell: The condition the trial belongs to.
        split: ``test`` for results, ``val`` while searching.
        images: How many of the split's samples, from the first; None for all.
        sample: The only one, judged without scores; None for no such.
        alone: Whether that sample is alone in its pass, rather than in its batch.
    """

    faults: FaultSet
    cell: Cell
    split: str = REPORTED
    images: int | None = None
    sample: int | None = None
    alone: bool = False

    @property
    def shares_a_pass(self) -> bool:
        """Whether other trials can be in the same batch of samples."""
        return self.sample is not None and not self.alone

    @property
    def reports(self) -> bool:
        """Whether it gives a result, rather than guide a search."""
        return self.split == REPORTED
