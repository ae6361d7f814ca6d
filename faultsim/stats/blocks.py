"""Trials drawn by one design, and the game of bets that is played on one block after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from faultsim.stats.betting import Bets, Betting
from faultsim.stats.design import Design, Rows
from faultsim.stats.estimate import Estimate
from faultsim.stats.tail import Floats

Ints = npt.NDArray[np.int64]

FORESIGHT = 2
"""Where no margin is asked of a part, bets are made as if it were to have this many times its
trials by now."""

BETTING = "betting on importance-weighted trials"
UNSEEN = "no trial"


class Block(NamedTuple):
    """Trials drawn by one design: how many in each stratum had the outcome, and had not."""

    design: Design
    hits: Ints
    misses: Ints
    total: float
    trials: int

    @classmethod
    def of(cls, design: Design, hits: Ints, misses: Ints) -> Block:
        total = float(design.hits @ hits + design.misses @ misses)
        return cls(design, hits, misses, total, int(hits.sum() + misses.sum()))

    @property
    def counts(self) -> Ints:
        return np.concatenate([self.hits, self.misses])

    @property
    def scores(self) -> Floats:
        return np.concatenate([self.design.hits, self.design.misses])

    def within(self, rows: Rows) -> Block:
        """The part that fell into some of the strata."""
        return Block.of(self.design.within(rows), self.hits[rows], self.misses[rows])

    def play(self, game: Betting, bets: Bets) -> None:
        counts = self.counts
        scores, which = np.unique(self.scores[counts > 0], return_inverse=True)
        game.add(bets, scores, np.bincount(which, counts[counts > 0]))


def mean(blocks: Sequence[Block], rates: Floats) -> float:
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


class Game:
    """The rate of some of the strata together, its interval valid whenever one stops.

    Attributes:
        rows: (strata,) which.
        trials: That fell into them.
        bounds: The interval by now.
    """

    def __init__(self, rows: Rows, confidence: float) -> None:
        """Nothing is known yet.

        Args:
            rows: (strata,) of which strata.
            confidence: That the interval holds their rate.
        """
        self.rows, self.trials, self.bounds = rows, 0, Betting(confidence)
        self._blocks: list[Block] = []

    def play(self, block: Block, aim: float | None = None) -> None:
        """Learns from a block of trials, whose design rests on those before it.

        Args:
            block: Of all strata.
            aim: The distance at which rates are to be excluded; None for what the trials by now
                are good for.
        """
        own = block if self.rows.all() else block.within(self.rows)
        if not own.trials:
            return
        aim = aim or own.design.aim(FORESIGHT * max(self.trials, 1), self.bounds.enough)
        # Nothing is bet on the first block: nothing is known of it.
        own.play(self.bounds, own.design.bets(aim if self._blocks else None))
        self._blocks.append(own)
        self.trials += own.trials

    def estimate(self, rates: Floats) -> Estimate:
        """The rate by now.

        Args:
            rates: (strata,) of all strata, as expected by now.
        """
        if not self._blocks:
            return Estimate(math.nan, 0.0, 1.0, 0, UNSEEN)
        happened = sum(int(block.hits.sum()) for block in self._blocks)
        alike = happened in (0, self.trials)  # what was expected at first is in no such value
        value = happened / self.trials if alike else mean(self._blocks, rates[self.rows])
        low, high = self.bounds.low, self.bounds.high
        return Estimate(min(max(value, low), high), low, high, self.trials, BETTING)
