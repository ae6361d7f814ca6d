"""Means of bounded values, whose intervals hold for skewed and rare ones too.

Every interval here is Gaffke's: the mean of n values in [0, 1] and one more of 1, weighted by the
spacings of n uniform points, exceeds the upper bound with probability ``tail``; the lower bound
mirrors it with one more of 0. Of zeros and ones this is the interval of Clopper and Pearson, whose
promise is proven. For other values the promise is a conjecture that no search has refuted;
benchmarks/coverage.py measures the coverage.

N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a
nonnegative variable", Mathematical Methods of Statistics 14, 2005, 451-467; E. Learned-Miller and
P. Thomas, "A new confidence interval for the mean of a bounded random variable", arXiv:1905.06208.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from faultsim.errors import ConfigError
from faultsim.stats.estimate import CONFIDENCE, Estimate
from faultsim.stats.tail import Floats, positive

MOST = 2000  # distinct values; of more, neighbours are joined: it moves bounds by less than 1/n
ROUNDING = 1e-6  # that arithmetic may leave outside the range
SMALLEST = 1e-12


def bounded_mean(
    values: npt.ArrayLike,
    low: float = 0.0,
    high: float = 1.0,
    confidence: float = CONFIDENCE,
    unit: str = "trials",
) -> Estimate:
    """The mean of independent values that cannot leave a range.

    Where all values are the same, the interval bounds what was not seen.

    Args:
        values: (n,) one a trial, n at least 1.
        low: The least possible value, not the least seen.
        high: The greatest possible value.
        confidence: That the interval holds the mean, at least.
        unit: What the values are of.

    Raises:
        ConfigError: A value lies outside the range, or is none.
    """
    sample = np.asarray(values, float)
    shares = (sample - low) / (high - low)
    if not np.all((shares >= -ROUNDING) & (shares <= 1 + ROUNDING)):
        raise ConfigError(f"values that are means of a range must lie in [{low:g}, {high:g}]")
    shares = np.clip(shares, 0, 1)
    n, mean = len(sample), float(sample.mean())
    if n < 2:
        return Estimate(mean, None, None, n, f"one {unit.removesuffix('s')}")
    least, most = _ends(shares, np.ones(n), confidence)
    span = high - low
    ends = min(mean, low + span * least), max(mean, low + span * most)
    return Estimate(mean, *ends, n, _method(shares, unit))


def image_rate(
    events: npt.ArrayLike, images: npt.ArrayLike, confidence: float = CONFIDENCE
) -> Estimate:
    """A rate over images, where all images of a trial share its fault.

    The unit of sampling is the trial: its share of images is one value. Where trials differ in
    size, the rate is that over all images, and no trial is taken to be larger than the largest.

    Args:
        events: (trials,) images with the outcome, each trial.
        images: (trials,) images evaluated, each trial.
        confidence: That the interval holds the rate, at least.
    """
    hits, sizes = np.asarray(events, float), np.asarray(images, float)
    n, rate = len(hits), float(hits.sum() / sizes.sum())
    if n < 2:
        return Estimate(rate, None, None, n, "one trial")
    least, most = _ends(hits / sizes.max(), sizes / sizes.max(), confidence)
    return Estimate(rate, min(rate, least), max(rate, most), n, _method(hits / sizes, "trials"))


def _method(shares: Floats, unit: str) -> str:
    return f"bound, all {unit} alike" if np.ptp(shares) == 0 else f"Gaffke over {unit}"


def _ends(hits: Floats, sizes: Floats, confidence: float) -> tuple[float, float]:
    """Of the ratio of two means, hits at most sizes, sizes at most 1."""
    hits, sizes, counts = _grouped(hits, sizes)
    tail = (1 - confidence) / 2
    return _least(hits, sizes, counts, tail), 1 - _least(sizes - hits, sizes, counts, tail)


def _grouped(hits: Floats, sizes: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct trials and how often each occurs; of too many, means of those that are near."""
    if np.ptp(sizes) == 0:  # as in most campaigns, and numbers sort faster than pairs
        distinct, counts = np.unique(hits, return_counts=True)
        pairs = distinct + 1j * sizes[0]
    else:
        pairs, counts = np.unique(hits + 1j * sizes, return_counts=True)
    if len(pairs) > MOST:
        excess = pairs.real - hits.sum() / sizes.sum() * pairs.imag
        place = ((excess - excess.min()) / (np.ptp(excess) or 1) * MOST).astype(int)
        total = np.bincount(place, counts)
        joined = np.zeros(len(total), complex)
        np.add.at(joined, place, counts * pairs)
        pairs, counts = joined[total > 0] / total[total > 0], total[total > 0]
    return pairs.real, pairs.imag, np.asarray(counts, np.float64)


def _least(hits: Floats, sizes: Floats, counts: Floats, tail: float) -> float:
    """The lower bound of the ratio, with one trial more that is large and has no hit."""
    if hits.max() < SMALLEST:
        return 0.0
    from scipy.optimize import brentq
    from scipy.special import ndtri

    hits, sizes, counts = np.append(hits, 0.0), np.append(sizes, 1.0), np.append(counts, 1.0)
    wanted = float(ndtri(tail))

    def excess(ratio: float) -> float:
        """As a normal quantile, in which the tail is nearly straight."""
        share = min(max(positive(ratio * sizes - hits, counts), 1e-300), 1.0)
        return float(ndtri(share)) - wanted

    ratio = float(hits @ counts / (sizes @ counts))
    starts = (ratio * share for share in (SMALLEST, 1e-9, 1e-6, 1e-3, 0.1))
    start = next((one for one in starts if excess(one) < 0), None)
    if start is None or excess(ratio) <= 0:
        return 0.0  # too far out for the integral: the end of the range always holds
    return float(brentq(excess, start, ratio, xtol=SMALLEST * ratio, rtol=1e-9))
