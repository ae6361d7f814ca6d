"""Which protection is worth what it costs."""

from __future__ import annotations

from collections.abc import Sequence

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


def _mean(paid: Paid, rate: str, side: int) -> float:
    changes = [change for change in paid.changes if change.rate == rate]
    return sum((c.first, c.second)[side].value for c in changes) / max(1, len(changes))


def recommendation(found: Sequence[Paid], budget: float, rate: str = "sdc") -> str:
    """What :func:`best_within` found, as a sentence."""
    best, within = best_within(found, budget, rate), f"{100 * budget:g} % more time"
    if best is None:
        return f"No protection within {within} leaves less {rate.upper()} than the bare model."
    was, left = _mean(best, rate, 0), _mean(best, rate, 1)
    return (
        f"Within {within}, {best.name} leaves least {rate.upper()}: {100 * left:.3g} % of samples "
        f"instead of {100 * was:.3g} %, at time ×{best.cost.time:.3f} and memory "
        f"×{best.cost.memory:.3f}."
    )
