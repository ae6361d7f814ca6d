"""The trials of a campaign that did most harm, with the values that their faults changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from torch import nn

from faultsim.campaign.lines import Line
from faultsim.faults import Fault, FaultSet, Site
from faultsim.run.outcome import plain

MOST_TRIALS = 20
MOST_FAULTS = 20  # of each trial; a bit-error rate may strike thousands


def damaging(
    lines: Iterable[Line],
    golden: float,
    model: nn.Module,
    sites: Sequence[Site],
    objective: str | None = None,
) -> list[dict[str, Any]]:
    """The trials of the lowest accuracy, below the golden run's; those of a search are left out.

    An accuracy, or another objective, that is not finite is lower than any other.

    Args:
        lines: Journal lines.
        golden: What it is in the golden run.
        model: Without faults; the values before are read from it.
        sites: Those that the journal names.
        objective: The figure that counts of a task that is no classification; "" for the share of
            unharmed samples.

    Returns:
        The lowest first, ties by number: ``{trial, cell, acc, faults}``, or ``score`` for ``acc``
        where an objective is given. The faults are
        text, of weights with the values before and after; those that changed most come first.
    """
    name, least = "acc" if objective is None else objective, _rank(golden)
    reported = [
        (score, line)
        for line in lines
        if not line.searching and _rank(score := line.score(name)) < least
    ]
    worst = sorted(reported, key=lambda pair: (_rank(pair[0]), pair[1].trial))[:MOST_TRIALS]
    key = "acc" if objective is None else "score"
    return [_record(line, key, score, model, sites) for score, line in worst]


def _rank(score: float) -> float:
    return score if math.isfinite(score) else -math.inf


def _record(
    line: Line, key: str, score: float, model: nn.Module, sites: Sequence[Site]
) -> dict[str, Any]:
    faults = FaultSet.from_json(msgspec.json.encode(line.faults), sites, f"trial {line.trial}")
    described = sorted(faults.describe(model), key=_change, reverse=True)[:MOST_FAULTS]
    known = {"trial": line.trial, "cell": line.cell, key: plain(score)}
    return {**known, "faults": [str(fault) for fault in described]}


def _change(fault: Fault) -> float:
    """How far the value moved; what is not finite moved furthest."""
    if fault.before is None or fault.after is None:
        return 0.0
    change = abs(float(fault.after) - float(fault.before))
    return change if math.isfinite(change) else math.inf
