"""The area under a ROC curve, whose interval holds for few images and for areas near 1.

Images are weighted at random, as a Bayesian bootstrap does (Rubin, Annals of Statistics 9, 1981,
130-134), with one image more of each side that is told as wrongly as can be for the lower end, as
rightly as can be for the upper: what Gaffke's bound does for a mean (``stats.bounded``). For areas
no theorem is known; benchmarks/coverage.py measures the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultsim.stats.estimate import CONFIDENCE, Estimate
from faultsim.stats.tail import Floats

DRAWS = 1000
AT_ONCE = 1 << 20  # weights that are held at a time
METHOD = "Bayesian bootstrap with ends, over images"


@dataclass(frozen=True)
class Areas:
    """A mean area, and what it is under each draw of weights; the same draws for equal numbers.

    Attributes:
        value: Without weights.
        n: Number of images.
        least: (draws,) with the images more that are told wrongly.
        most: (draws,) with the images more that are told rightly.
    """

    value: float
    n: int
    least: Floats
    most: Floats

    def interval(self, confidence: float = CONFIDENCE) -> Estimate:
        """Of the area."""
        return _estimate(self.value, self.least, self.most, self.n, confidence)

    def change(self, before: Areas, confidence: float = CONFIDENCE) -> Estimate:
        """Of the difference to the area of other scores of the same images."""
        low, high = self.least - before.most, self.most - before.least
        return _estimate(self.value - before.value, low, high, self.n, confidence)


def _estimate(value: float, least: Floats, most: Floats, n: int, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = float(np.quantile(least, tail)), float(np.quantile(most, 1 - tail))
    return Estimate(value, min(value, low), max(value, high), n, METHOD)


def areas(scores: Floats, truth: npt.NDArray[np.bool_], value: float) -> Areas:
    """The mean over columns, each with images of both sides.

    Args:
        scores: (n, columns).
        truth: (n, columns) whether the score should be high.
        value: The area without weights.
    """
    n, generator = len(scores), np.random.default_rng(0)
    more = generator.exponential(size=(DRAWS, 2))
    orders = [np.argsort(column, kind="stable") for column in scores.T]
    found = []
    for part in np.array_split(more, -(-DRAWS * n // AT_ONCE)):
        weights = generator.exponential(size=(len(part), n))
        columns = zip(scores.T, truth.T, orders, strict=True)
        found.append(np.mean([_ends(s[o], t[o], weights[:, o], part) for s, t, o in columns], 0))
    least, most = np.concatenate(found, axis=1)
    return Areas(value, n, least, most)


def _ends(scores: Floats, truth: npt.NDArray[np.bool_], weights: Floats, more: Floats) -> Floats:
    """(2, draws) least and most, of ascending scores; half of a tie counts."""
    starts = np.flatnonzero(np.diff(scores, prepend=-np.inf))
    high = np.add.reduceat(weights * truth, starts, axis=1)
    low = np.add.reduceat(weights * ~truth, starts, axis=1)
    right = (high * (np.cumsum(low, axis=1) - low / 2)).sum(axis=1)
    pairs = high.sum(axis=1) * low.sum(axis=1)
    every = (high.sum(axis=1) + more[:, 0]) * (low.sum(axis=1) + more[:, 1])
    return np.array([right / every, 1 - (pairs - right) / every])
