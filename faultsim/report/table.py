"""Estimates in the tables behind figures."""

from __future__ import annotations

from typing import Any

from faultsim.stats import CONFIDENCE, Estimate, bounded_mean
from faultsim.stats.tail import Floats
from faultsim.table import Row, Table

__all__ = ["ESTIMATE", "Row", "Table", "estimate", "mean", "mean_of"]

ESTIMATE = ("value", "low", "high", "n", "interval")
"""The columns of :func:`estimate`; every table of results ends with them."""


def estimate(found: Estimate) -> dict[str, Any]:
    """An estimate as the columns :data:`ESTIMATE`."""
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "interval": found.method,
    }


def mean(values: Floats, *, sampled: bool, most: float) -> dict[str, Any]:
    """:func:`mean_of` as the columns :data:`ESTIMATE`."""
    return estimate(mean_of(values, sampled=sampled, most=most))


def mean_of(
    values: Floats, *, sampled: bool, most: float, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean loss of a share over trials, with its interval where they are a sample.

    Args:
        values: One a trial.
        sampled: Whether they are a sample.
        most: What there is to lose.
        confidence: That the interval holds.
    """
    if sampled:
        return bounded_mean(values, most - 1, most, confidence)
    return Estimate(float(sum(values)) / len(values), None, None, len(values), "exhaustive")
