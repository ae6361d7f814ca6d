"""Which faults strike at which step of a training."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from torch import nn

from faultsim.errors import FaultError, shown
from faultsim.faults import FaultSet
from faultsim.injector import Faults, placed
from faultsim.space import FaultSpace

Given = Mapping[int, Faults] | Callable[[int], Faults | None]


class Source(Protocol):
    """Where the faults of each step come from."""

    def begin(self, memory: nn.Module) -> None:
        """Looks at what will be struck, before the first step."""

    def at(self, step: int, memory: nn.Module) -> FaultSet | None:
        """The faults of a step in what is there now; None where nothing strikes."""


class Chosen:
    """Faults that the user gives, by step."""

    def __init__(self, given: Given) -> None:
        if not callable(given) and not isinstance(given, Mapping):
            raise FaultError(
                f"faults are a mapping of steps or a function of the step, not {shown(given)}"
            )
        self._given = given

    def begin(self, memory: nn.Module) -> None:
        """Nothing is known before."""

    def at(self, step: int, memory: nn.Module) -> FaultSet | None:
        given = self._given
        found = given(step) if callable(given) else given.get(step)
        faults = None if found is None else placed(memory, found)
        return faults if faults is not None and len(faults) else None


@dataclass
class Drawn:
    """Faults drawn anew at each step.

    Attributes:
        space_of: The bits that may be drawn, of a model or what stands for one.
        steps: At which steps; None for all.
        flips: How many distinct bits at a step; or
        ber: with which probability each bit.
        op: Operator, as for ``FaultSpace.sample``.
        seed: With the number of the step, fixes the faults.
    """

    space_of: Callable[[nn.Module], FaultSpace]
    steps: Container[int] | None
    flips: int | None
    ber: float | None
    op: str
    seed: int
    _space: FaultSpace | None = None

    def __post_init__(self) -> None:
        if (self.flips is None) == (self.ber is None):
            raise FaultError("say what strikes while training: flips, or ber, or faults")

    def begin(self, memory: nn.Module) -> None:
        there = next(chain(memory.parameters(), memory.buffers()), None)
        self._space = self.space_of(memory) if there is not None else None

    def at(self, step: int, memory: nn.Module) -> FaultSet | None:
        if self.steps is not None and step not in self.steps:
            return None
        if self._space is None:
            self.begin(memory)
        faults = self._draw(self._space, step) if self._space is not None else None
        return faults if faults is not None and len(faults) else None

    def _draw(self, space: FaultSpace, step: int) -> FaultSet:
        if self.flips is not None:
            return space.sample(self.flips, seed=self.seed, trial=step, op=self.op)
        rate = self.ber or 0.0
        return space.sample_bit_errors(rate, seed=self.seed, trial=step, op=self.op)
