"""The module calls of a golden forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from faultsim.faults import FaultSet, Site
from faultsim.transient import module_of

NEVER = 1 << 62
"""Later than any tick."""


@dataclass(frozen=True)
class Call:
    """One call of a module. Times are ticks: whenever a call begins or ends, there is one.

    Attributes:
        module: Its qualified name.
        enter: When it begins.
        exit: When it ends.
        outer: When the call around it ends.
        last: When the last of the calls that read its output ends.
        bytes: Memory of its output; None where that cannot be copied.
    """

    module: str
    enter: int
    exit: int
    outer: int
    last: int
    bytes: int | None

    def skipped(self, cut: int) -> bool:
        """Whether a run that starts at the tick ``cut`` meets this call and need not run it."""
        return self.exit <= cut < self.outer

    def needed(self, cut: int) -> bool:
        """Whether such a run reads its output."""
        return self.skipped(cut) and cut < self.last


@dataclass(frozen=True)
class Calls:
    """A golden forward pass.

    Attributes:
        calls: In the order they begin.
        first_reads: By name of a weight, the tick from which on its value may matter.
        seconds: The time of each tick.
    """

    calls: tuple[Call, ...]
    first_reads: dict[str, int]
    seconds: tuple[float, ...]

    @cached_property
    def _first(self) -> dict[str, Call]:
        return {call.module: call for call in reversed(self.calls)}

    def reach(self, faults: FaultSet) -> int:
        """The tick before which none of the faults can have an effect; 0 where that is unknown."""
        return min(map(self._reach, faults.sites), default=NEVER)

    def _reach(self, site: Site) -> int:
        if site.kind == "weights":
            return self.first_reads.get(site.name, 0)
        first = self._first.get(module_of(site.name))  # hooks count the calls: none may be missed
        if first is None:
            return 0
        return first.exit if site.kind == "activations" else first.enter
