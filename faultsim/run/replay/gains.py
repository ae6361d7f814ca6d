"""Which cuts pay: replay costs something too, which small models do not win back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import torch

from faultsim.run.timing import timed

ROUNDS = 3
CLEAR = 0.8
"""A run from a cut that took no more than this share of the whole is not measured again."""
ENOUGH = 0.98
"""The share of the whole that a run from a cut may take."""

NO_GAIN = "a run from it was measured to be no faster than the whole"

CPU = torch.device("cpu")
Run = Callable[[], object]


def that_pay(
    whole: Run,
    parts: Mapping[int, Run],
    known: Mapping[int, float] | None = None,
    device: torch.device = CPU,
) -> list[int]:
    """The cuts from which a run was faster than the whole, each the best of a few rounds in turn.

    Args:
        whole: Runs all of the model.
        parts: By cut, runs what follows it.
        known: By cut, what a run took before.
        device: Where they run.
    """
    best, all_of_it = {cut: (known or {}).get(cut, inf) for cut in parts}, inf
    for _ in range(ROUNDS):
        all_of_it = min(all_of_it, timed(whole, device)[1])
        for cut in (cut for cut in parts if best[cut] > CLEAR * all_of_it):
            best[cut] = min(best[cut], timed(parts[cut], device)[1])
        if all(spent <= CLEAR * all_of_it for spent in best.values()):
            break
    return [cut for cut in parts if best[cut] <= ENOUGH * all_of_it]
