"""An interval for a mean that holds at every moment at once, so that one may stop when it suffices.

For each possible mean m somebody bets that the true one is higher, another that it is lower, on one
outcome after the other. At the true mean both games are fair, whatever was bet, as long as bets
rest on the past: the average capital stays at most 1, and it reaches 2/alpha at any time with
probability alpha/2 at most (Ville's inequality). The interval is all m at which neither did. The
outcomes need bounds, which may differ from one to the next, and no more of a law.

I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", Journal of
the Royal Statistical Society B 86, 2024, 1-27.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from faultsim.stats.tail import Floats

STAKE = 0.9
"""The share of the capital that one outcome can take, at most."""
STEPS = np.linspace(0, 1, 8)
"""From the most careful of the stakes that are compared to the boldest."""


class Bets(NamedTuple):
    """What is bet on the next outcomes, fixed before any of them is known.

    Attributes:
        up: Capital staked, a unit of distance, on a mean that is higher.
        down: The same on one that is lower.
        least: The least possible outcome.
        most: The greatest.
    """

    up: float
    down: float
    least: float
    most: float


def bets_for(aim: float, outcomes: Floats, chances: Floats, least: float, most: float) -> Bets:
    """Bets that tell means apart which differ by ``aim``, if outcomes are as expected.

    Of some stakes those with which capital is expected to grow fastest, as J. L. Kelly bets ("A new
    interpretation of information rate", Bell System Technical Journal 35, 1956).

    Args:
        aim: The distance at which a mean is to be excluded.
        outcomes: (k,) those that are expected.
        chances: (k,) how likely each is, 1 together.
        least: The least possible outcome.
        most: The greatest.
    """
    mean = float(chances @ outcomes)
    up = _fastest(outcomes - (mean - aim), chances, aim, mean - aim - least)
    down = _fastest(mean + aim - outcomes, chances, aim, most - mean - aim)
    return Bets(up, down, least, most)


def _fastest(gains: Floats, chances: Floats, aim: float, lost: float) -> float:
    """The stake with which the logarithm of capital grows fastest.

    It lies between the best on many small gains, which a rare large loss would ruin, and the one
    that takes that loss for as likely as the gain.

    Args:
        gains: (k,) of a stake of 1.
        chances: (k,) how likely each is.
        aim: The expected gain.
        lost: What a stake of 1 may lose.
    """
    square, lost = float(chances @ gains**2), max(lost, 1e-300)
    bold, careful = aim / square, aim / (square + aim * lost)
    stakes = np.minimum(careful * (bold / careful) ** STEPS, STAKE / lost)
    growth = np.log1p(stakes[:, None] * gains) @ chances
    return float(stakes[growth.argmax()])


class Betting:
    """The interval of the mean, from 0 to 1, of outcomes that come one after the other.

    Attributes:
        low: Every mean below was excluded at some time.
        high: Every mean above.
    """

    def __init__(self, confidence: float) -> None:
        self.low, self.high = 0.0, 1.0
        self.enough = math.log(2 / (1 - confidence))
        self._columns = np.empty((6, 0))

    def add(self, bets: Bets, outcomes: npt.ArrayLike, counts: npt.ArrayLike) -> None:
        """Plays some outcomes, and excludes what they refute.

        Args:
            bets: On each of them, made before.
            outcomes: (k,) distinct ones, in the bounds of the bets.
            counts: (k,) how often each came.
        """
        values, times = np.asarray(outcomes, float), np.asarray(counts, float)
        columns = [values, times, *(np.full(len(values), bet) for bet in bets)]
        self._columns = np.concatenate([self._columns, columns], axis=1)
        low, high = self._lowest(), self._highest()
        if low <= high:  # else both ends were excluded, which is as rare as a miss
            self.low, self.high = low, high

    def capital_up(self, mean: float) -> float:
        """The logarithm of what is won by now if ``mean`` is taken for true, betting on more."""
        values, counts, up, _, least, _ = self._columns
        bet = np.minimum(up, STAKE / np.maximum(mean - least, 1e-300))
        return float(counts @ np.log1p(bet * (values - mean)))

    def capital_down(self, mean: float) -> float:
        """The same, betting on less."""
        values, counts, _, down, _, most = self._columns
        bet = np.minimum(down, STAKE / np.maximum(most - mean, 1e-300))
        return float(counts @ np.log1p(-bet * (values - mean)))

    def _lowest(self) -> float:
        """Capital falls as the mean that is tested grows: what it excludes ends at one place."""
        return _kept(lambda mean: self.capital_up(mean) - self.enough, self.low, self.high)

    def _highest(self) -> float:
        return _kept(lambda mean: self.capital_down(mean) - self.enough, self.high, self.low)


def anytime_share(events: int, n: int, confidence: float) -> tuple[float, float]:
    """The interval of a share, valid at every moment at once; (0, 1) before the first trial.

    A mixture of bets over all shares, weighted as Jeffreys' prior (H. Robbins, "Statistical methods
    related to the law of the iterated logarithm", Annals of Mathematical Statistics 41, 1970).
    """
    from scipy.special import betaln, xlog1py, xlogy

    misses = n - events
    won = float(betaln(events + 0.5, misses + 0.5) - betaln(0.5, 0.5)) + math.log(1 - confidence)

    def excess(share: float) -> float:
        likely = float(xlogy(events, share) + xlog1py(misses, -share))
        return won - max(likely, -1e300)

    seen = events / n if n else 0.5
    return _kept(excess, 0.0, seen), _kept(excess, 1.0, seen)


def _kept(excess: Callable[[float], float], outer: float, inner: float) -> float:
    """Where what is excluded ends, from one end of a range towards a point inside."""
    if excess(outer) < 0:
        return outer
    if excess(inner) >= 0:
        return inner
    from scipy.optimize import brentq

    return float(brentq(excess, outer, inner, xtol=1e-10, rtol=1e-10))
