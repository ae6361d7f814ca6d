"""How the next trials are drawn over strata, and what each outcome then counts.

A trial falls into stratum h with chance q_h, and its outcome x, 0 or 1, is scored as
c + w_h / q_h · (x - m_h), where w_h is the stratum's share of the population, m_h what is expected
of it and c the sum of w_h m_h. Whatever q and m are, the mean score is the rate of the population:
they decide about its variance alone, as long as they rest on the past.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from faultsim.stats.betting import Bets, bets_for
from faultsim.stats.tail import Floats

Rows = npt.NDArray[np.bool_]

DEFENCE = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
"""Shares of trials that are spread as the population is, whatever is expected."""

SPREAD = 0.1
"""Share of trials that are spread so where other strata lack trials."""

DUST = 0.02
"""Expected rates below are taken for 0: what does nothing then scores alike in all strata."""


@dataclass(frozen=True)
class Design:
    """Of one block of trials.

    Attributes:
        weights: (strata,) shares of the population.
        chances: (strata,) of drawing each.
        hits: (strata,) the score of a trial with the outcome.
        misses: (strata,) the score of one without.
        expected: (strata,) the rates that it was made for.
    """

    weights: Floats
    chances: Floats
    hits: Floats
    misses: Floats
    expected: Floats

    def spread(self, rates: Floats) -> float:
        """The variance of the scores, if strata have such rates."""
        mean = self._mean(rates)
        square = rates * (self.hits - mean) ** 2 + (1 - rates) * (self.misses - mean) ** 2
        return float(self.chances @ square)

    def _mean(self, rates: Floats) -> float:
        return float(self.chances @ (rates * self.hits + (1 - rates) * self.misses))

    @cached_property
    def mean(self) -> float:
        """Of the scores, as expected."""
        return self._mean(self.expected)

    @cached_property
    def variance(self) -> float:
        """Of the scores, as expected."""
        return self.spread(self.expected)

    def bets(self, aim: float | None) -> Bets:
        """On the scores, to exclude means at a distance of ``aim``; of None, nothing is staked."""
        ends = float(self.misses.min()), float(self.hits.max())
        if aim is None:
            return Bets(0.0, 0.0, *ends)
        outcomes = np.concatenate([self.hits, self.misses])
        likely = self.chances * self.expected, self.chances * (1 - self.expected)
        return bets_for(aim, outcomes, np.concatenate(likely), *ends)

    def within(self, rows: Rows) -> Design:
        """Of the trials that fall into some of the strata, for the rate of these alone."""
        weights, chances = self.weights[rows], self.chances[rows]
        return _design(weights / weights.sum(), self.expected[rows], chances / chances.sum())

    def aim(self, trials: float, enough: float) -> float:
        """The distance that so many trials are about enough to exclude."""
        reach = self._reach
        root = math.sqrt(reach**2 + 8 * self.variance * trials / enough)
        return enough * (reach + root) / (2 * trials)

    def trials(self, aim: float, enough: float) -> float:
        """About how many it takes to exclude them: until capital has grown by e^``enough``."""
        return enough * (2 * self.variance / aim**2 + self._reach / aim)

    @property
    def _reach(self) -> float:
        """How far a score may lie from what is expected."""
        return max(float(self.hits.max()) - self.mean, self.mean - float(self.misses.min()))


def best_design(weights: Floats, expected: Floats, aim: float, enough: float) -> Design:
    """The cheapest, if rates are as expected: Neyman's allocation with as much defence as pays.

    Args:
        weights: (strata,) shares of the population, each positive.
        expected: (strata,) rates, each between 0 and 1.
        aim: The distance at which means are to be excluded.
        enough: The logarithm of the capital that excludes them.
    """
    neyman = weights * np.sqrt(expected * (1 - expected))
    neyman /= neyman.sum()
    mixed = ((1 - share) * neyman + share * weights for share in DEFENCE)
    designs = [_design(weights, expected, chances) for chances in mixed]
    return min(designs, key=lambda design: design.trials(aim, enough))


def shared_design(weights: Floats, expected: Floats, lacking: Floats) -> Design:
    """By what strata lack of trials, and a part as the population is, for the rate of all.

    Args:
        weights: (strata,) shares of the population, each positive.
        expected: (strata,) rates, each between 0 and 1.
        lacking: (strata,) trials, 0 or more, of some strata at least.
    """
    return _design(weights, expected, (1 - SPREAD) * lacking / lacking.sum() + SPREAD * weights)


def _design(weights: Floats, expected: Floats, chances: Floats) -> Design:
    guess = np.where(expected < DUST, 0.0, expected)
    scale, level = weights / chances, float(weights @ guess)
    hits, misses = level + scale * (1 - guess), level - scale * guess
    return Design(weights, chances, hits, misses, expected)
