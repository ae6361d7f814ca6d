"""Shares of trials, or of images that are trials of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faultsim.errors import ConfigError
from faultsim.stats.bounded import bounded_mean
from faultsim.stats.estimate import CONFIDENCE, Estimate


def clopper_pearson(events: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """The exact interval of a share: never below its confidence (Biometrika 26, 1934, 404-413)."""
    from scipy.special import betaincinv

    if not 0 <= events <= n or n == 0:
        raise ConfigError(f"{events} events in {n} trials are no proportion")
    tail, misses = (1 - confidence) / 2, n - events
    low = float(betaincinv(events, misses + 1, tail)) if events else 0.0
    high = 1 - float(betaincinv(misses, events + 1, tail)) if misses else 1.0
    return Estimate(events / n, low, high, n, "Clopper-Pearson")


def paired_change(
    before: Sequence[bool], after: Sequence[bool], confidence: float = CONFIDENCE
) -> Estimate:
    """The change of a share, measured twice on the same units: a mean of values of -1, 0 and 1.

    Args:
        before: (n,) whether each unit had the property, n at least 1.
        after: (n,) whether the same unit has it now.
        confidence: That the interval holds the change, at least.
    """
    change = np.asarray(after, float) - np.asarray(before, float)
    return bounded_mean(change, -1, 1, confidence, "images")
