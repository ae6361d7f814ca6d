"""Which of the compared protections is worth a budget, and whether that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from faultsim.campaign.comparison import Change
from faultsim.campaign.protections_record import Paid


def best_within(found: Sequence[Paid], budget: float, rate: str = "sdc") -> Paid | None:
    """Of the protections whose time is within a budget, the one that leaves least harm.

    Args:
        found: What was compared.
        budget: Time that it may take more than the bare model, as a share.
        rate: Harm: ``sdc``, ``due`` or ``failure``, in the mean over conditions.

    Returns:
        None where none within the budget leaves less than there was.
    """
    affordable = [paid for paid in found if paid.cost.time <= 1 + budget]
    useful = [paid for paid in affordable if _mean(paid, rate, 1) < _mean(paid, rate, 0)]
    return min(useful, key=lambda paid: (_mean(paid, rate, 1), paid.cost.time), default=None)


def recommendation(found: Sequence[Paid], budget: float, rate: str = "sdc") -> str:
    """What :func:`best_within` found, in sentences, and whether it is shown."""
    best, within = best_within(found, budget, rate), f"{100 * budget:g} % more time"
    if best is None:
        return f"No protection within {within} leaves less {rate.upper()} than the bare model."
    was, left = _mean(best, rate, 0), _mean(best, rate, 1)
    said = (
        f"Within {within}, {best.name} leaves least {rate.upper()}: {100 * left:.3g} % of samples "
        f"instead of {100 * was:.3g} %, at time ×{best.cost.time:.3f} and memory "
        f"×{best.cost.memory:.3f}."
    )
    return f"{said} {_support(_of(best, rate))}{_stops(best) if rate == 'sdc' else ''}"


def _support(changes: Sequence[Change]) -> str:
    """Whether the paired intervals leave no doubt that there is a change."""
    shown = [change for change in changes if _ends(change)[1] < 0]
    if len(changes) > 1:
        return f"The change is shown in {len(shown)} of {len(changes)} conditions."
    change, (low, high) = changes[0], _ends(changes[0])
    points = f"The change of {100 * change.difference.value:+.3g} points [{100 * low:+.3g} to "
    if shown:
        return f"{points}{100 * high:+.3g}] is shown."
    return f"{points}{100 * high:+.3g}] is not shown, as it may be none: try more faults."


def _ends(change: Change) -> tuple[float, float]:
    found = change.difference
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    return low, high


def _stops(paid: Paid) -> str:
    """What became of detected errors, which an alarm makes of silent ones."""
    changes = _of(paid, "due")
    if not changes:
        return ""
    return f" DUE change by {100 * fmean(each.difference.value for each in changes):+.3g} points."


def _mean(paid: Paid, rate: str, side: int) -> float:
    changes = _of(paid, rate)
    return sum((c.first, c.second)[side].value for c in changes) / max(1, len(changes))


def _of(paid: Paid, rate: str) -> list[Change]:
    return [change for change in paid.changes if change.rate == rate]
