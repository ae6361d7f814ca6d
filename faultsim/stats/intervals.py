"""Estimates with honest intervals. The unit of sampling is the trial, never the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.errors import ConfigError

CONFIDENCE = 0.95
RESAMPLES = 2000
PART = 1 << 20  # values that are resampled at a time
MANY, FEW = 10_000, 20  # trials, and trials to a distinct value, from which values are counted

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval; None where there is no sampling to speak of.
        high: Upper end.
        n: Number of trials, or of images where those are the sample.
        method: How the interval was made.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.2%}"
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "method": self.method,
        }


def wilson(events: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Wilson's score interval for a per-trial event (Wilson, JASA 1927)."""
    return _binomial(events, n, confidence, "Wilson")


def clopper_pearson(events: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """The exact, conservative interval (Clopper and Pearson, Biometrika 1934)."""
    return _binomial(events, n, confidence, "Clopper-Pearson")


def _binomial(events: int, n: int, confidence: float, method: str) -> Estimate:
    from scipy.stats import binomtest

    if not 0 <= events <= n or n == 0:
        raise ConfigError(f"{events} events in {n} trials are no proportion")
    kind: Any = "exact" if method == "Clopper-Pearson" else "wilson"
    interval = binomtest(events, n).proportion_ci(confidence, kind)
    return Estimate(events / n, float(interval.low), float(interval.high), n, method)


def image_rate(
    events: npt.ArrayLike, images: npt.ArrayLike, confidence: float = CONFIDENCE
) -> Estimate:
    """A rate over images, where all images of a trial share its fault.

    The ratio estimator with its linearised variance over trials (Cochran, Sampling Techniques,
    1977, 6.3) and Student's t. Where no variance was seen, zero events in all trials say, Wilson's
    interval at the number of trials stands in: identical trials are one event, not many images.

    Args:
        events: (trials,) images with the outcome, each trial.
        images: (trials,) images evaluated, each trial.
        confidence: Of the interval.
    """
    hits, sizes = np.asarray(events, float), np.asarray(images, float)
    n, rate = len(hits), float(hits.sum() / sizes.sum())
    if n < 2:
        return Estimate(rate, None, None, n, "one trial")
    residuals = (hits - rate * sizes) / sizes.mean()
    error = math.sqrt(float(residuals @ residuals) / (n - 1) / n)
    if error == 0:
        low, high = _wilson_bounds(rate, n, confidence)
        return Estimate(rate, low, high, n, "Wilson over trials")
    from scipy.stats import t

    margin = float(t.ppf((1 + confidence) / 2, n - 1)) * error
    return Estimate(rate, max(0.0, rate - margin), min(1.0, rate + margin), n, "ratio over trials")


def _wilson_bounds(rate: float, n: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_mean(
    values: Sequence[float], confidence: float = CONFIDENCE, seed: int = 0
) -> Estimate:
    """Mean over trials with a percentile bootstrap interval (Efron, 1979; 2,000 resamples).

    No interval where all values are the same: resamples of them would promise certainty. Of many
    trials with few distinct values it is drawn how often each value occurs in a resample, which is
    the same distribution without drawing every trial; others are resampled in parts, so that time
    may grow with their number and memory does not.
    """
    sample = np.asarray(values, float)
    n, mean = len(sample), float(sample.mean())
    if n < 2:
        return Estimate(mean, None, None, n, "one trial")
    if np.ptp(sample) == 0:
        return Estimate(mean, None, None, n, "all trials alike")
    generator = np.random.default_rng(seed)
    distinct, counts = np.unique(sample, return_counts=True)
    if n > MANY and FEW * len(distinct) < n:
        means = generator.multinomial(n, counts / n, RESAMPLES) @ distinct / n
        low, high = np.quantile(means, ((1 - confidence) / 2, (1 + confidence) / 2))
    else:
        low, high = _resampled(sample, confidence, generator)
    return Estimate(mean, float(low), float(high), n, "bootstrap over trials")


def _resampled(
    sample: Floats, confidence: float, generator: np.random.Generator
) -> tuple[float, float]:
    """Of means of resamples; the parts draw what one matrix of all of them would."""
    from scipy.stats import bootstrap

    result = bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, batch=max(1, PART // len(sample)),
        confidence_level=confidence, method="percentile", rng=generator,
    )  # fmt: skip
    return result.confidence_interval.low, result.confidence_interval.high


def paired_change(
    before: Sequence[bool], after: Sequence[bool], confidence: float = CONFIDENCE
) -> Estimate:
    """The change of a share, measured twice on the same units.

    Newcombe's square-and-add interval for paired shares, with continuity correction of their
    correlation (Newcombe, Statistics in Medicine 17, 1998, 2635–2650, method 10).

    Args:
        before: (n,) whether each unit had the property, n at least 1.
        after: (n,) whether the same unit has it now.
        confidence: Of the interval.
    """
    was, now = np.asarray(before, bool), np.asarray(after, bool)
    n = len(was)
    first, second = wilson(int(now.sum()), n, confidence), wilson(int(was.sum()), n, confidence)
    both, neither = int((was & now).sum()), int((~was & ~now).sum())
    lost, won = int((was & ~now).sum()), int((~was & now).sum())
    product: float = both * neither - won * lost
    if product > 0:
        product = max(product - n / 2, 0)
    margins = (both + won) * (lost + neither) * (both + lost) * (won + neither)
    correlation = product / math.sqrt(margins) if margins else 0.0
    low, high = (
        math.sqrt(a * a - 2 * correlation * a * b + b * b)
        for a, b in (
            (first.value - (first.low or 0), (second.high or 0) - second.value),
            ((first.high or 0) - first.value, second.value - (second.low or 0)),
        )
    )
    change = first.value - second.value
    method = "Newcombe, paired over images"
    return Estimate(change, max(-1.0, change - low), min(1.0, change + high), n, method)


def stratified(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """The weighted mean of independent strata (layers, bits), their intervals joined in quadrature.

    Args:
        estimates: One a stratum.
        weights: Share of the fault space in each stratum; normalised here.
    """
    share = np.asarray(weights, float) / np.sum(weights)
    value = float(share @ np.array([e.value for e in estimates]))
    n = sum(e.n for e in estimates)
    if any(e.low is None or e.high is None for e in estimates):
        return Estimate(value, None, None, n, "a stratum without interval")
    down = np.array([e.value - (e.low or 0) for e in estimates])
    up = np.array([(e.high or 0) - e.value for e in estimates])
    low = value - math.sqrt(float(np.sum((share * down) ** 2)))
    high = value + math.sqrt(float(np.sum((share * up) ** 2)))
    return Estimate(value, max(0.0, low), min(1.0, high), n, "stratified")


def sample_size(
    margin: float,
    confidence: float = CONFIDENCE,
    population: int | None = None,
    rate: float = 0.5,
) -> int:
    """Trials for a margin of error (Leveugle et al., "Statistical fault injection", DATE 2009).

    Args:
        margin: Half the width of the interval.
        confidence: Of the interval.
        population: Number of possible faults, for the finite-population correction.
        rate: The rate expected; 0.5 is the most demanding.
    """
    if not 0 < margin < 1 or not 0 < confidence < 1 or not 0 < rate < 1:
        raise ConfigError("margin, confidence and rate must lie between 0 and 1")
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    endless = z * z * rate * (1 - rate) / margin**2
    if population is None:
        return math.ceil(endless)
    return math.ceil(population / (1 + (population - 1) / endless))
