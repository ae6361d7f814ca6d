"""Which of several may be the first: a ranking is worth no more than its intervals."""

from __future__ import annotations

from collections.abc import Sequence

from faultsim.stats.estimate import CONFIDENCE, Estimate


def confidence_of_each(number: int, confidence: float = CONFIDENCE) -> float:
    """That so many intervals need so that all of them hold with ``confidence`` (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, number)


def may_be_first(estimates: Sequence[Estimate]) -> list[bool]:
    """Of each, whether it may be the greatest of all.

    Where all intervals hold, what may not is not: its upper end lies below another's lower one.

    Args:
        estimates: With intervals that hold together; one without was measured exactly, or, of a
            single trial, tells nothing.
    """
    lows, highs = zip(*map(_ends, estimates), strict=True) if estimates else ((), ())
    return [high >= max(lows) for high in highs]


def _ends(found: Estimate) -> tuple[float, float]:
    if found.low is not None and found.high is not None:
        return found.low, found.high
    known = found.n > 1 or found.method in ("exhaustive", "searched")
    return (found.value, found.value) if known else (float("-inf"), float("inf"))
