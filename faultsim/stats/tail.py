"""Tails of weighted sums of exponential variables."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEP = 0.2
NODES = np.arange(0, 8 + STEP / 2, STEP)
SINH, COSH = np.sinh(NODES), np.cosh(NODES)
STEEPEST = 30.0  # of a logit: nearer to the singularity than that no tail matters


def positive(weights: Floats, counts: Floats) -> float:
    """The probability that a weighted sum of independent variables is positive.

    The variables are Gamma(count) with scale 1, that is, sums of so many standard exponential ones.
    The moment generating function is known, and its inversion integral runs along a curve through
    the saddle point (Daniels, "Saddlepoint approximations in statistics", Annals of Mathematical
    Statistics 25, 1954), bent as the steepest descent is, so that its integrand neither oscillates
    nor stays: the trapezoidal rule then has some eight digits with 41 nodes. Far out
    such a curve may come near a pole of many small weights, where the integrand rises: it is then
    bent less, down to a straight line, along which it always falls; some three digits remain.

    Args:
        weights: (k,) of either sign.
        counts: (k,) how many exponential variables carry each weight; positive.
    """
    if counts @ weights > 0:
        return 1 - positive(-weights, counts)
    top = float(weights.max())
    if top <= 0:
        return 0.0
    saddle = _saddle(weights, counts, top)
    tilted = weights / (1 - saddle * weights)
    variance = float(counts @ tilted**2)
    scale, bend = variance**-0.5, 2 / 3 * float(counts @ tilted**3) * variance**-1.5
    for lessened in (bend, bend / 2, bend / 4, bend / 8, 0.0):
        curve = saddle + scale * (1j * SINH + lessened * (COSH - 1))
        logarithm = np.log(1 - np.outer(curve, weights)) @ counts + np.log(curve)
        if np.all(np.diff(logarithm.real) >= 0):
            break
    slope = scale * (COSH - 1j * lessened * SINH)
    values = (np.exp(-logarithm) * slope).real
    return float(STEP / math.pi * (values.sum() - values[0] / 2))


def _saddle(weights: Floats, counts: Floats, top: float) -> float:
    """Where the cumulant generating function is least, but off the pole at 0."""
    from scipy.optimize import brentq
    from scipy.special import expit

    def slope(logit: float) -> float:
        return float(counts @ (weights / (1 - expit(logit) / top * weights)))

    share = min(0.5, top * float(counts @ weights**2) ** -0.5)
    least = math.log(share / (1 - share))
    if slope(least) < 0:
        least = brentq(slope, least, STEEPEST, xtol=0.01)
    return float(expit(least)) / top
