"""The module calls of a golden forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise

from faultsim.faults import FaultSet, Site
from faultsim.targets.transient import module_of

NEVER = 1 << 62
"""Later than any tick."""

WHOLE = 0
"""The cut before which nothing runs."""


@dataclass(frozen=True)
class Call:
    """One call of a module. Times are ticks: whenever a call begins or ends, there is one.

    Attributes:
        module: Its qualified name.
        enter: When it begins.
        exit: When it ends.
        outer: When the nearest call around it that can be skipped ends.
        last: When the last of the calls that read its output is skipped for good.
        bytes: Memory of its output; None where that cannot be copied.
        again: Why it is run again in every run that meets it, instead of being skipped; empty for
            what can be skipped.
        argument: Which of the tensors it is given it returns, as the same object; None for others.
        writes: Whether it changed that argument in place.
        spoilt: When a call that changed its output in place, and does not return it, ends.
        storages: One number for each tensor of its output, equal where memory is shared; 0 is that
            of the inputs. Empty for what returns an argument.
    """

    module: str
    enter: int
    exit: int
    outer: int
    last: int
    bytes: int | None
    again: str = ""
    argument: int | None = None
    writes: bool = False
    spoilt: int = NEVER
    storages: tuple[int, ...] = ()

    def skipped(self, cut: int) -> bool:
        """Whether a run that starts at the tick ``cut`` meets this call and need not run it."""
        return not self.again and self.exit <= cut < self.outer

    def met(self, cut: int) -> bool:
        """Whether it began before the cut, and such a run meets it, to skip it or run it again."""
        return self.enter < cut < self.outer

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
        spoils_inputs: Whether the model changed its inputs in place.
        operations: By site, the last tick before a function first returns it; perhaps unknown.
    """

    calls: tuple[Call, ...]
    first_reads: dict[str, int]
    seconds: tuple[float, ...]
    spoils_inputs: bool = False
    operations: Mapping[str, int] = field(default_factory=dict)

    def same_way(self, other: Calls) -> bool:
        """Whether another batch took the same way through the model."""
        return (
            self.first_reads == other.first_reads
            and self.spoils_inputs == other.spoils_inputs
            and [replace(call, bytes=0) for call in self.calls]
            == [replace(call, bytes=0) for call in other.calls]
        )

    def at_best(self, other: Calls) -> Calls:
        """The same pass, each step as fast as in the faster of two; unless the other went else."""
        if not self.same_way(other):
            return self
        steps = zip(pairwise(self.seconds), pairwise(other.seconds), strict=True)
        fastest = (min(end - start for start, end in step) for step in steps)
        return replace(self, seconds=tuple(accumulate(fastest, initial=0.0)))

    def saved(self, cut: int) -> float:
        """The share of the pass's time that a run from ``cut`` on need not spend again."""
        whole = self.seconds[-1] - self.seconds[0]
        skipped = (call for call in self.calls if call.skipped(cut))
        spent = sum(self.seconds[call.exit] - self.seconds[call.enter] for call in skipped)
        return spent / whole if whole else 0.0

    def reach(self, faults: FaultSet) -> int:
        """The tick before which none of the faults can have an effect; 0 where that is unknown."""
        return min(map(self.reach_of, faults.sites), default=NEVER)

    def reach_of(self, site: Site) -> int:
        """The same for any fault of a site."""
        if site.kind == "weights":
            return self.first_reads.get(site.name, 0)
        if site.name in self.operations and site.name.startswith(f"{module_of(site.name)}:"):
            return self.operations[site.name]  # of the module's first call
        ends = self._ends if site.kind == "activations" else self._begins
        return ends.get(module_of(site.name), 0)

    # Of the first call of each module: hooks count the calls, and none of them may be missed.

    @cached_property
    def _begins(self) -> dict[str, int]:
        return self._firsts(lambda call: call.enter)

    @cached_property
    def _ends(self) -> dict[str, int]:
        return self._firsts(lambda call: call.exit)

    def _firsts(self, tick: Callable[[Call], int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for call in self.calls:
            found[call.module] = min(tick(call), found.get(call.module, NEVER))
        return found
