"""How many trials a margin takes."""

from __future__ import annotations

import math

from faultsim.errors import ConfigError
from faultsim.stats.estimate import CONFIDENCE


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
    from scipy.special import ndtri  # scipy.stats takes a second to import

    z = float(ndtri((1 + confidence) / 2))
    endless = z * z * rate * (1 - rate) / margin**2
    if population is None:
        return math.ceil(endless)
    return math.ceil(population / (1 + (population - 1) / endless))
