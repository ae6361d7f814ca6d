"""A rate estimated trial by trial until it is known as precisely as was asked.

One game of bets (``stats.betting``) on importance-weighted outcomes (``stats.design``); where to
draw next is learnt from what has been seen, block by block, at trial numbers that never depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from faultsim.errors import ConfigError
from faultsim.stats.betting import Betting, anytime_share
from faultsim.stats.design import Design, best_design
from faultsim.stats.estimate import Estimate
from faultsim.stats.tail import Floats

FIRST, GROWTH = 32, 1.06
"""Trials of the first block, and what all are multiplied by from one look to the next."""

PRIOR = 0.02
"""The rate that is expected of a stratum of which nothing is known."""

FAITH = 2.0
"""How many trials the expectation of a stratum weighs, before it is seen."""

BETTING = "betting on importance-weighted trials"
SHARE = "anytime-valid share"
UNSEEN = "no trial"


def looks() -> Iterator[int]:
    """Numbers of trials after which it is decided where to draw next, and whether."""
    n = FIRST
    while True:
        yield n
        n = max(n + FIRST // 2, math.ceil(GROWTH * n))


@dataclass(frozen=True)
class Goal:
    """How precisely a rate is to be known.

    Attributes:
        margin: How far the interval may reach on either side of the value.
        relative: Or how far as a share of the value.
        confidence: That the interval holds the rate, whenever one stops.
    """

    margin: float | None = None
    relative: float | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Raises ConfigError unless it says one of the two, and all are between 0 and 1."""
        if (self.margin is None) == (self.relative is None):
            raise ConfigError("an estimate needs a margin or a relative margin, not both")
        for value in (self.margin, self.relative, self.confidence):
            if value is not None and not 0 < value < 1:
                raise ConfigError("margin, relative margin and confidence lie between 0 and 1")

    def at(self, rate: float) -> float:
        """The margin, if the rate is such."""
        return self.margin if self.margin is not None else (self.relative or 0.0) * rate


class _Block(NamedTuple):
    """Trials drawn by one design, and the sum of their scores."""

    design: Design
    trials: int
    total: float


class SequentialRate:
    """Learns the rate of a population of strata.

    Ask for a :attr:`design`, draw trials by its chances, :meth:`add` what came of them; until
    :attr:`reached`, or as long as one likes: the interval holds at any moment.
    """

    def __init__(
        self,
        weights: npt.ArrayLike,
        goal: Goal,
        kin: Sequence[int] | None = None,
        prior: npt.ArrayLike = PRIOR,
    ) -> None:
        """Nothing is known yet.

        Args:
            weights: (strata,) sizes of the strata, each positive.
            goal: When to stop, and what bets are aimed at.
            kin: (strata,) numbers of groups, within which rates are expected to be alike.
            prior: (strata,) rates that are expected, or one for all. It changes how many trials
                there have to be, never whether the interval holds.
        """
        sizes = np.asarray(weights, float)
        self.weights, self.goal = sizes / sizes.sum(), goal
        self.trials = np.zeros(len(sizes), int)
        self.events = np.zeros(len(sizes), int)
        self._kin = np.zeros(len(sizes), int) if kin is None else np.asarray(kin)
        self._prior = np.clip(np.broadcast_to(np.asarray(prior, float), sizes.shape), 1e-6, 0.999)
        self._game = Betting(goal.confidence)
        self._blocks: list[_Block] = []
        self.design = self._next()

    @property
    def n(self) -> int:
        """Trials so far."""
        return int(self.trials.sum())

    @property
    def expected(self) -> Floats:
        """(strata,) the rate expected of each by now: its own, drawn to that of its kin."""
        known = np.bincount(self._kin, self.events)[self._kin]
        tried = np.bincount(self._kin, self.trials)[self._kin]
        alike = (known + FAITH * self._prior) / (tried + FAITH)
        found: Floats = (self.events + FAITH * alike) / (self.trials + FAITH)
        return found

    def _next(self) -> Design:
        expected = self.expected
        self._aim = max(self.goal.at(float(self.weights @ expected)), 1e-9)
        return best_design(self.weights, expected, self._aim, self._game.enough)

    def add(self, strata: npt.ArrayLike, events: npt.ArrayLike) -> None:
        """Learns from a block of trials that were drawn by :attr:`design`, which is then another.

        Args:
            strata: (n,) where each fell.
            events: (n,) whether it had the outcome.
        """
        # Nothing is bet on the first block, of which nothing is known.
        where, happened = np.asarray(strata, int), np.asarray(events, bool)
        size, design = len(self.weights), self.design
        hits = np.bincount(where[happened], minlength=size)
        tried = np.bincount(where, minlength=size)
        scores = np.concatenate([design.hits, design.misses])
        counts = np.concatenate([hits, tried - hits])
        seen = counts > 0
        bets = design.bets(self._aim) if self._blocks else design.bets(self._aim).none()
        self._game.add(bets, scores[seen], counts[seen])
        self._blocks.append(_Block(design, len(where), float(scores @ counts)))
        self.trials, self.events = self.trials + tried, self.events + hits
        self.design = self._next()

    @property
    def value(self) -> float:
        """The rate: the mean score, each block weighted by the precision that its design had."""
        expected = self.expected
        if not self._blocks:
            return float(self.weights @ expected)
        each = [1 / max(block.design.spread(expected), 1e-12) for block in self._blocks]
        total = sum(weight * block.total for weight, block in zip(each, self._blocks, strict=True))
        trials = sum(
            weight * block.trials for weight, block in zip(each, self._blocks, strict=True)
        )
        return min(max(total / trials, self._game.low), self._game.high)

    @property
    def estimate(self) -> Estimate:
        """The rate and its interval."""
        return Estimate(self.value, self._game.low, self._game.high, self.n, BETTING)

    @property
    def reached(self) -> bool:
        """Whether the interval reaches no farther than was asked."""
        value = self.value
        half = max(value - self._game.low, self._game.high - value)
        return half <= self.goal.at(value)

    def own(self) -> list[Estimate]:
        """Of each stratum its rate, and an interval that holds for it, not for all at once."""
        found = zip(self.events.tolist(), self.trials.tolist(), strict=True)
        return [own_share(events, n, self.goal.confidence) for events, n in found]


def own_share(events: int, n: int, confidence: float) -> Estimate:
    """A share of trials whose number was not fixed beforehand; NaN of none."""
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0, UNSEEN)
    return Estimate(events / n, *anytime_share(events, n, confidence), n, SHARE)
