"""A rate estimated trial by trial until it is known as precisely as was asked.

One game of bets (``stats.betting``) on importance-weighted outcomes (``stats.design``); where to
draw next is learnt from what has been seen, block by block, at fixed trial numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faultsim.stats.betting import anytime_share
from faultsim.stats.blocks import UNSEEN, Block, Game
from faultsim.stats.design import Design, Rows, best_design, shared_design
from faultsim.stats.estimate import Estimate
from faultsim.stats.goal import Goal
from faultsim.stats.tail import Floats

FIRST, GROWTH = 32, 1.1
"""Trials of the first block, and what all are multiplied by from one look to the next."""

PRIOR = 0.02
"""The rate that is expected of a stratum of which nothing is known."""

FAITH = 2.0
"""How many trials the expectation of a stratum weighs, before it is seen."""

MORE = 1.25
"""What is not known yet, although it was expected to be, takes this many times its trials."""

SHARE = "anytime-valid share"


def looks() -> Iterator[int]:
    """Numbers of trials after which it is decided where to draw next, and whether."""
    n = FIRST
    while True:
        yield n
        n = max(n + FIRST // 2, math.ceil(GROWTH * n))


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
        parts: Sequence[Rows] = (),
        part_margin: float | None = None,
    ) -> None:
        """Nothing is known yet.

        Args:
            weights: (strata,) sizes of the strata, each positive.
            goal: When to stop, and what bets are aimed at.
            kin: (strata,) numbers of groups, within which rates are expected to be alike.
            prior: (strata,) rates that are expected, or one for all. It changes how many trials
                there have to be, never whether the interval holds.
            parts: (strata,) each: strata whose rate together is to be known as well.
            part_margin: How far the interval of each part may reach on either side of its value;
                None where none is asked for.
        """
        sizes = np.asarray(weights, float)
        self.weights, self.goal = sizes / sizes.sum(), goal
        self.trials = np.zeros(len(sizes), int)
        self.events = np.zeros(len(sizes), int)
        self._kin = np.zeros(len(sizes), int) if kin is None else np.asarray(kin)
        self._prior = np.clip(np.broadcast_to(np.asarray(prior, float), sizes.shape), 1e-6, 0.999)
        self._game = Game(np.ones(len(sizes), bool), goal.confidence)
        self._part_aim = part_margin
        asked = parts if part_margin else ()
        self._parts = [Game(np.asarray(rows, bool), goal.confidence) for rows in asked]
        self._blocks: list[Block] = []
        self._know()

    @property
    def n(self) -> int:
        """Trials so far."""
        return int(self.trials.sum())

    @property
    def expected(self) -> Floats:
        """(strata,) the rate expected of each by now: its own, drawn to that of its other kin.

        What a stratum saw itself counts once, and one that saw nothing is no better than all of its
        kin: bets on a rare event not seen yet would be ruinous.
        """
        known = np.bincount(self._kin, self.events)[self._kin]
        tried = np.bincount(self._kin, self.trials)[self._kin]
        others, their = known - self.events, tried - self.trials
        alike = (others + FAITH * self._prior) / (their + FAITH)
        found = (self.events + FAITH * alike) / (self.trials + FAITH)
        least = (known + FAITH * self._prior) / (tried + FAITH)
        doubted: Floats = np.where(self.events == 0, np.maximum(found, least), found)
        return doubted

    def add(self, strata: npt.ArrayLike, events: npt.ArrayLike) -> None:
        """Learns from a block of trials that were drawn by :attr:`design`, which is then another.

        Args:
            strata: (n,) where each fell.
            events: (n,) whether it had the outcome.
        """
        where, happened = np.asarray(strata, int), np.asarray(events, bool)
        hits = np.bincount(where[happened], minlength=len(self.weights))
        misses = np.bincount(where[~happened], minlength=len(self.weights))
        block = Block.of(self.design, hits, misses)
        self._game.play(block, self._aim)
        for part in self._parts:
            part.play(block, self._part_aim)
        self._blocks.append(block)
        self.trials, self.events = self.trials + hits + misses, self.events + hits
        self._know()

    def _know(self) -> None:
        """Takes stock after a block, and plans the next."""
        self.estimate = self._game.estimate(self.expected)
        self._aim = max(self.goal.at(float(self.weights @ self.expected)), 1e-9)
        self._lacking = [] if self.goal.met(self.estimate) else [(self._game, self._aim)]
        if self._part_aim is not None:
            goal = Goal(self._part_aim, None, self.goal.confidence)
            parts = [part for part in self._parts if not goal.met(part.estimate(self.expected))]
            self._lacking += [(part, self._part_aim) for part in parts]
        self.design = self._best(self._game, self._aim)
        self._needed = self.design.trials(self._aim, self._game.bounds.enough)
        if self._parts and self._lacking:
            self._share_out()
        elif not self._lacking:
            self._needed = self.n

    def _share_out(self) -> None:
        """Each goal wants so many trials of its strata; a stratum gets the most that any wants."""
        wanted = np.max([self._wanted(game, aim) for game, aim in self._lacking], axis=0)
        self._needed = float(np.maximum(wanted, self.trials).sum())
        lacking = np.maximum(wanted - self.trials, 0)
        self.design = shared_design(self.weights, self.expected, lacking)

    def _wanted(self, game: Game, aim: float) -> Floats:
        """(strata,) trials in the end, for the goal of one game."""
        design, wanted = self._best(game, aim), np.zeros(len(self.weights))
        trials = max(design.trials(aim, game.bounds.enough), MORE * game.trials)
        wanted[game.rows] = design.chances * trials
        return wanted

    def _best(self, game: Game, aim: float) -> Design:
        weights = self.weights[game.rows]
        enough = game.bounds.enough
        return best_design(weights / weights.sum(), self.expected[game.rows], aim, enough)

    def within(self, rows: Rows) -> Estimate:
        """The rate of some of the strata together, its interval valid whenever one stops.

        Args:
            rows: (strata,) which.
        """
        game = next((part for part in self._parts if np.array_equal(part.rows, rows)), None)
        if game is None:
            game = Game(rows, self.goal.confidence)
            for block in self._blocks:
                game.play(block)
        return game.estimate(self.expected)

    @property
    def reached(self) -> bool:
        """Whether no interval that was asked for reaches farther than was asked."""
        return not self._lacking

    @property
    def needed(self) -> int:
        """About how many trials there will have been in the end, if strata are as expected."""
        return math.ceil(self._needed)

    def own(self) -> list[Estimate]:
        """Of each stratum its rate, and an interval that holds for it, not for all at once."""
        found = zip(self.events.tolist(), self.trials.tolist(), strict=True)
        return [own_share(events, n, self.goal.confidence) for events, n in found]


@lru_cache(4096)  # most strata of a campaign saw the same, and little
def own_share(events: int, n: int, confidence: float) -> Estimate:
    """A share of trials whose number was not fixed beforehand; NaN of none."""
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0, UNSEEN)
    return Estimate(events / n, *anytime_share(events, n, confidence), n, SHARE)
