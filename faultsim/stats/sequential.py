"""A rate estimated trial by trial until it is known as precisely as was asked.

One game of bets (``stats.betting``) on importance-weighted outcomes (``stats.design``); where to
draw next is learnt from what has been seen, block by block, at fixed trial numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from faultsim.errors import ConfigError
from faultsim.stats.betting import Bets, Betting, anytime_share
from faultsim.stats.design import Design, Rows, best_design
from faultsim.stats.estimate import Estimate
from faultsim.stats.tail import Floats

Ints = npt.NDArray[np.int64]

FIRST, GROWTH = 32, 1.06
"""Trials of the first block, and what all are multiplied by from one look to the next."""

PRIOR = 0.02
"""The rate that is expected of a stratum of which nothing is known."""

FAITH = 2.0
"""How many trials the expectation of a stratum weighs, before it is seen."""

FORESIGHT = 2
"""Bets on a part of the strata are made as if it were to have this many times its trials by now."""

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
    """Trials drawn by one design: how many in each stratum had the outcome, and had not."""

    design: Design
    hits: Ints
    misses: Ints

    total: float
    trials: int

    @classmethod
    def of(cls, design: Design, hits: Ints, misses: Ints) -> _Block:
        total = float(design.hits @ hits + design.misses @ misses)
        return cls(design, hits, misses, total, int(hits.sum() + misses.sum()))

    @property
    def counts(self) -> Ints:
        return np.concatenate([self.hits, self.misses])

    @property
    def scores(self) -> Floats:
        return np.concatenate([self.design.hits, self.design.misses])

    def within(self, rows: Rows) -> _Block:
        """The part that fell into some of the strata."""
        return _Block.of(self.design.within(rows), self.hits[rows], self.misses[rows])

    def play(self, game: Betting, bets: Bets) -> None:
        counts = self.counts
        scores, which = np.unique(self.scores[counts > 0], return_inverse=True)
        game.add(bets, scores, np.bincount(which, counts[counts > 0]))


def _mean(blocks: Sequence[_Block], rates: Floats) -> float:
    """The mean score, each block weighted by the precision that it has if strata have such rates.

    The interval does not rest on it, so that the weights may look at everything.
    """
    designs = [block.design for block in blocks]
    chances, hits, misses = (
        np.stack([getattr(design, name) for design in designs])
        for name in ("chances", "hits", "misses")
    )
    means = (chances * (rates * hits + (1 - rates) * misses)).sum(1, keepdims=True)
    squares = rates * (hits - means) ** 2 + (1 - rates) * (misses - means) ** 2
    precision = 1 / np.maximum((chances * squares).sum(1), 1e-12)
    totals = [block.total for block in blocks]
    return float(precision @ totals / (precision @ [block.trials for block in blocks]))


def _estimate(blocks: Sequence[_Block], rates: Floats, game: Betting) -> Estimate:
    value, trials = _mean(blocks, rates), sum(block.trials for block in blocks)
    return Estimate(min(max(value, game.low), game.high), game.low, game.high, trials, BETTING)


class SequentialRate:
    """Learns the rate of a population of strata.

    Draw a block of trials by the chances of :attr:`design`, :meth:`add` what came of them; until
    :attr:`reached`, or as long as one likes: the interval holds at any moment.

    Attributes:
        weights: (strata,) shares of the population.
        trials: (strata,) how many fell into each.
        events: (strata,) how many of them had the outcome.
        design: Of the next block.
        estimate: The rate, with its interval.
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
        self.estimate = Estimate(math.nan, 0.0, 1.0, 0, UNSEEN)
        self.design = self._next()

    @property
    def n(self) -> int:
        """Trials so far."""
        return int(self.trials.sum())

    @property
    def expected(self) -> Floats:
        """(strata,) the rate expected of each by now: its own, drawn to that of its other kin.

        What a stratum saw itself counts once: bets on a rare event not seen yet would be ruinous.
        """
        known = np.bincount(self._kin, self.events)[self._kin] - self.events
        tried = np.bincount(self._kin, self.trials)[self._kin] - self.trials
        alike = (known + FAITH * self._prior) / (tried + FAITH)
        found: Floats = (self.events + FAITH * alike) / (self.trials + FAITH)
        return found

    def _know(self) -> None:
        self.estimate = _estimate(self._blocks, self.expected, self._game)
        self.design = self._next()

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
        where, happened = np.asarray(strata, int), np.asarray(events, bool)
        hits = np.bincount(where[happened], minlength=len(self.weights))
        misses = np.bincount(where[~happened], minlength=len(self.weights))
        block = _Block.of(self.design, hits, misses)
        # Nothing is bet on the first block: nothing is known of it.
        block.play(self._game, self.design.bets(self._aim if self._blocks else None))
        self._blocks.append(block)
        self.trials, self.events = self.trials + hits + misses, self.events + hits
        self._know()

    def within(self, rows: Rows) -> Estimate:
        """The rate of some of the strata together, its interval valid whenever one stops.

        Args:
            rows: (strata,) which.
        """
        game, found, seen = Betting(self.goal.confidence), list[_Block](), 0
        for block in (block.within(rows) for block in self._blocks):
            if block.trials:
                aim = block.design.aim(FORESIGHT * seen, game.enough) if seen else None
                block.play(game, block.design.bets(aim))
                found.append(block)
                seen += block.trials
        if not found:
            return Estimate(math.nan, 0.0, 1.0, 0, UNSEEN)
        return _estimate(found, self.expected[rows], game)

    @property
    def reached(self) -> bool:
        """Whether the interval reaches no farther than was asked."""
        value, low, high = self.estimate.value, self._game.low, self._game.high
        return max(value - low, high - value) <= self.goal.at(value)

    @property
    def needed(self) -> int:
        """About how many trials there will have been in the end, if strata are as expected."""
        return math.ceil(self.design.trials(self._aim, self._game.enough))

    def own(self) -> list[Estimate]:
        """Of each stratum its rate, and an interval that holds for it, not for all at once."""
        found = zip(self.events.tolist(), self.trials.tolist(), strict=True)
        return [own_share(events, n, self.goal.confidence) for events, n in found]


def own_share(events: int, n: int, confidence: float) -> Estimate:
    """A share of trials whose number was not fixed beforehand; NaN of none."""
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0, UNSEEN)
    return Estimate(events / n, *anytime_share(events, n, confidence), n, SHARE)
