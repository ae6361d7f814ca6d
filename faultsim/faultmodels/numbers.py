"""Random numbers of events: streams that trial, event and draw tell apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError
from faultsim.ops import sample_bit_errors, sample_uniform

FINE = 1 << 52
"""In how many parts the unit interval is drawn."""

DRAWS = 256
"""Streams of one try at an event: its kind, its place, then its bits until there are enough."""

TRIES = 64
"""How often an event is drawn anew that would strike words of another one."""

EVENTS = 1 << 16
"""Events of one trial at most: streams are below 2^31, and the first few serve others."""

NUMBER = 1 << 30
"""The stream of how many events there are."""


class Numbers:
    """The random numbers of one try at one event of one trial."""

    def __init__(self, seed: int, trial: int, event: int, tried: int) -> None:
        self._seed, self._trial = seed, trial
        self._stream = NUMBER + 1 + (event * TRIES + tried) * DRAWS

    def _next(self) -> int:
        self._stream += 1
        return self._stream

    def below(self, n: int) -> int:
        """Uniform over ``range(n)``.

        Raises:
            FaultError: More than 2^63 possibilities.
        """
        if n >= 1 << 63:
            raise FaultError("an event has more than 2^63 places: it cannot be drawn")
        return int(sample_uniform(n, 1, seed=self._seed, trial=self._trial, stream=self._next()))

    def unit(self) -> float:
        """Uniform over [0, 1)."""
        return self.below(FINE) / FINE

    def some(self, n: int, density: float, least: int) -> npt.NDArray[np.int64]:
        """Which of ``range(n)``, each with a probability, given that they are so many at least.

        Raises:
            FaultError: So many hardly ever come together.
        """
        for _ in range(DRAWS - 8):
            found = sample_bit_errors(
                n, density, seed=self._seed, trial=self._trial, stream=self._next()
            ).numpy()
            if len(found) >= least:
                return found
        raise FaultError(f"of {n} bits at density {density:g} there are hardly ever {least} struck")


def poisson(mean: float, *, seed: int, trial: int) -> int:
    """A Poisson number, by the inverse of its distribution function.

    Raises:
        FaultError: A mean of more events than a trial may have.
    """
    from scipy.stats import poisson as distribution

    if not 0 <= mean <= EVENTS / 2:
        raise FaultError(f"{mean:g} events a trial are too many: at most {EVENTS // 2}")
    share = int(sample_uniform(FINE, 1, seed=seed, trial=trial, stream=NUMBER)) + 0.5
    return int(distribution.ppf(share / FINE, mean))
