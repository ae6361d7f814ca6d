"""Which of some things to buy for a budget: of gains that add up, and of gains that overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LOSS = 0.01
"""Of the best there is, at most so much is lost by counting gains in steps."""

Chain = tuple[int, "Chain | None"]
State = tuple[float, int, Chain | None]


def best_subset(
    gains: Sequence[float], costs: Sequence[float], budget: float, loss: float = LOSS
) -> list[int]:
    """The knapsack problem: gains and costs add up.

    All choices that no other dominates are followed (G. L. Nemhauser, Z. Ullmann, 1969), with gains
    rounded down to steps (O. H. Ibarra, C. E. Kim, 1975), so that there are not too many.

    Args:
        gains: Of each thing; what gains nothing is not bought.
        costs: Of each, not negative.
        budget: For all together.
        loss: Bounds the steps.

    Returns:
        Numbers of the things, rising. What they gain is at least 1 - ``loss`` of the most possible.
    """
    wanted = [n for n, gain in enumerate(gains) if gain > 0 and costs[n] <= budget]
    if not wanted:
        return []
    step = loss * max(gains[n] for n in wanted) / len(wanted)
    frontier: list[State] = [(0.0, 0, None)]
    for n in wanted:
        worth, cost = math.floor(gains[n] / step), costs[n]
        more = [(c + cost, g + worth, (n, chain)) for c, g, chain in frontier if c + cost <= budget]
        frontier = _undominated([*frontier, *more])
    return _numbers(frontier[-1][2])


def _undominated(states: list[State]) -> list[State]:
    """Those that gain more than all that cost less, by rising cost."""
    found: list[State] = []
    for state in sorted(states, key=lambda state: (state[0], -state[1])):
        if not found or state[1] > found[-1][1]:
            found.append(state)
    return found


def _numbers(chain: Chain | None) -> list[int]:
    found = []
    while chain is not None:
        number, chain = chain
        found.append(number)
    return sorted(found)


def best_cover(gains: np.ndarray, costs: Sequence[float], budget: float) -> list[int]:
    """The same where gains overlap: each case gains what the best of the things bought gives it.

    By gain per cost, one after the other, or the best single thing where that is more: at least
    (1 - 1/e) / 2 of the most possible (S. Khuller, A. Moss, J. Naor, 1999).

    Args:
        gains: (things, cases), not negative.
        costs: Of each thing.
        budget: For all together.

    Returns:
        Numbers of the things, rising.
    """
    left = [n for n in range(len(gains)) if costs[n] <= budget]
    if not left:
        return []
    single = max(left, key=lambda n: float(gains[n].sum()))
    chosen: list[int] = []
    have, spent = np.zeros(gains.shape[1]), 0.0
    while left:
        more = {n: float(np.maximum(gains[n] - have, 0).sum()) for n in left}
        best = max(left, key=lambda n: (_per_cost(more[n], costs[n]), more[n]))
        left.remove(best)
        if more[best] > 0 and spent + costs[best] <= budget:
            chosen, spent = [*chosen, best], spent + costs[best]
            have = np.maximum(have, gains[best])
    if float(gains[single].sum()) > float(have.sum()):
        return [single]
    return sorted(chosen)


def _per_cost(gain: float, cost: float) -> float:
    return 0.0 if gain <= 0 else gain / cost if cost else math.inf
