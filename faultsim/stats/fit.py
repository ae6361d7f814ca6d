"""Failures in time: from upsets of a memory to failures of what is computed with it.

A FIT is one failure in 10⁹ hours. A memory of so many bits has ``fit_per_mbit`` · bits / 2²⁰ of
them; of these, the share that a campaign measured becomes a failure (Mukherjee et al., "A
systematic methodology to compute the architectural vulnerability factors", MICRO 2003).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from faultsim.errors import ConfigError
from faultsim.stats.estimate import Estimate

MBIT = 1 << 20
"""Bits of a Mbit, as memories are measured."""

PER_HOUR = 1e-9
"""Events an hour of one FIT."""


def fit(rate: Estimate, bits: int, fit_per_mbit: float) -> Estimate:
    """Failures in 10⁹ hours, the interval scaled from that of the measured share.

    What is not known of the memory's own rate widens no interval here.

    Args:
        rate: The share of events that become failures.
        bits: Of the memory that the events strike.
        fit_per_mbit: Events in 10⁹ hours and 2²⁰ bits.

    Raises:
        ConfigError: A negative rate, or no bits.
    """
    if not (fit_per_mbit >= 0 and math.isfinite(fit_per_mbit)) or bits <= 0:
        raise ConfigError(f"{fit_per_mbit} FIT/Mbit of {bits} bits is no rate")
    raw = fit_per_mbit * bits / MBIT
    low, high = (None if end is None else raw * end for end in (rate.low, rate.high))
    return Estimate(raw * rate.value, low, high, rate.n, rate.method)


def total(parts: Sequence[Estimate]) -> Estimate:
    """The sum of rates. Its interval is the sum of theirs: as sure as all of them together."""
    low = None if any(part.low is None for part in parts) else sum(p.low or 0.0 for p in parts)
    high = None if any(part.high is None for part in parts) else sum(p.high or 0.0 for p in parts)
    method = f"sum of {len(parts)} parts"
    return Estimate(sum(p.value for p in parts), low, high, sum(p.n for p in parts), method)


def hours_between(rate: Estimate, fleet: int = 1) -> Estimate:
    """Mean hours between failures of a fleet, from the FIT of one of them; infinite at a rate of 0.

    Args:
        rate: As :func:`fit` gives it.
        fleet: How many there are.

    Raises:
        ConfigError: No fleet.
    """
    if fleet < 1:
        raise ConfigError(f"a fleet of {fleet} does not fail")
    value, low, high = (_hours(end, fleet) for end in (rate.value, rate.high, rate.low))
    return Estimate(math.inf if value is None else value, low, high, rate.n, rate.method)


def _hours(rate: float | None, fleet: int) -> float | None:
    if rate is None:
        return None
    return 1 / (rate * PER_HOUR * fleet) if rate > 0 else math.inf
