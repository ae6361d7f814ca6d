"""What a schedule knows, and what it is: a generator of trials that receives their outcomes.

It yields trials that do not depend on one another together, and receives as many outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from torch import nn

from faultsim.config import CampaignConfig
from faultsim.faultmodels import FaultModel
from faultsim.faultmodels.reach import Reach, load_reach
from faultsim.ops.operators import Operator
from faultsim.run.outcome import Cell, Outcome
from faultsim.run.search import Search
from faultsim.run.trial import Trial
from faultsim.space import FaultSpace
from faultsim.stats import Estimate, SequentialRate
from faultsim.stats.design import Rows

Trials = Generator[Sequence[Trial], Sequence[Outcome], None]


@dataclass(frozen=True)
class Context:
    """What a schedule may use.

    Attributes:
        config: The campaign's settings.
        space: The bits that may be struck.
        model: The model, without faults; its words are read, it is never run.
        search: What a search may look at; called by those that search.
        samples: Of the split that results come from.
        fault_model: The events that trials draw, where they do not draw bits.
    """

    config: CampaignConfig
    space: FaultSpace
    model: nn.Module
    search: Callable[[], Search]
    samples: int
    fault_model: FaultModel | None = field(default=None, kw_only=True)

    @cached_property
    def reach(self) -> Reach | None:
        """What an attacker can reach; None for everything.

        Raises:
            ConfigError: Its file cannot be read, or does not fit.
        """
        return load_reach(self.config.reach) if self.config.reach else None


@dataclass(frozen=True)
class Learnt:
    """A rate that is being estimated.

    Attributes:
        rate: It grows as outcomes come.
        strata: The labels of each stratum.
    """

    rate: SequentialRate
    strata: Sequence[Cell]

    def parts(self) -> list[tuple[Cell, Estimate]]:
        """Each bit and each layer, with its rate."""
        return [(labels, self.rate.within(rows)) for labels, rows in parts_of(self.strata)]


def parts_of(strata: Sequence[Cell]) -> list[tuple[Cell, Rows]]:
    """Labels and (strata,) which: those of each bit together, then those of each layer.

    Args:
        strata: The labels of each.
    """
    found: list[tuple[Cell, Rows]] = []
    for name in ("bit", "layer"):
        for value in dict.fromkeys(labels[name] for labels in strata if name in labels):
            rows = np.array([labels[name] == value for labels in strata])
            found.append(({name: value}, rows))
    return found


@dataclass(frozen=True)
class Plan:
    """A schedule about to run.

    Attributes:
        trials: The generator.
        total: How many trials it will yield, or at most will.
        learnt: What trials have told by now, where they go on until a rate is known.
        operators: Of one's own in fault sets that somebody chose; the settings name others.
        adaptive: Whether later trials depend on outcomes of earlier ones.
    """

    trials: Trials
    total: int
    learnt: Learnt | None = None
    operators: tuple[Operator, ...] = ()
    adaptive: bool = False
