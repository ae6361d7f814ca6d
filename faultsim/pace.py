"""How far a campaign is: how fast trials are run of late, and what their rate is known to be."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from faultsim.stats import Estimate, clopper_pearson

if TYPE_CHECKING:
    from faultsim.campaign import Progress

WINDOW = 30.0  # seconds that "of late" is
EVERY = 0.5  # seconds between two looks
SAMPLED = ("random", "layer-wise", "bit-wise")
"""Modes whose trials are a sample, so that a rate of theirs has an interval."""


class Pace:
    """Told of each trial; asked now and then.

    Attributes:
        rate: Trials a second, of those that were run; None until that can be said.
    """

    def __init__(self, mode: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is known yet.

        Args:
            mode: Of the campaign.
            clock: Seconds that never jump.
        """
        self.rate: float | None = None
        self._sampled, self._clock = mode in SAMPLED, clock
        self._looks: deque[tuple[float, int]] = deque()
        self._trials = self._harmful = 0

    def saw(self, progress: Progress) -> bool:
        """Whether it is time to show something again, after a trial more."""
        if progress.outcome is not None and progress.trial is not None and progress.trial.reports:
            self._trials += 1
            self._harmful += progress.outcome.sdc > 0
        if progress.done < progress.resumed:
            return False
        now = self._clock()
        if self._looks and now - self._looks[-1][0] < EVERY and progress.done < progress.total:
            return False
        self._looks.append((now, progress.done))
        while now - self._looks[0][0] > WINDOW and len(self._looks) > 2:
            self._looks.popleft()
        then, before = self._looks[0]
        if now > then:
            self.rate = (progress.done - before) / (now - then)
        return True

    def left(self, progress: Progress) -> float | None:
        """Seconds until all planned trials are run; None where nothing can be said.

        So of an estimate, which ends when its rate is known.
        """
        if not self.rate or progress.estimate is not None:
            return None
        return (progress.total - progress.done) / self.rate

    def estimate(self, progress: Progress) -> Estimate | None:
        """What is known by now: of an estimate its rate, else the share of trials with an SDC."""
        if progress.estimate is not None:
            return progress.estimate
        return (
            clopper_pearson(self._harmful, self._trials) if self._sampled and self._trials else None
        )
