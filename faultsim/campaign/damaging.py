"""The trials of a campaign that did most harm, with the values that their faults changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from torch import nn

from faultsim.campaign.lines import Line
from faultsim.faults import Fault, FaultSet, Site

MOST_TRIALS = 20
MOST_FAULTS = 20  # of each trial; a bit-error rate may strike thousands


def damaging(
    lines: Iterable[Line], golden: float, model: nn.Module, sites: Sequence[Site]
) -> list[dict[str, Any]]:
    """The trials of the lowest accuracy, below the golden run's; those of a search are left out.

    Args:
        lines: Journal lines.
        golden: Accuracy of the golden run.
        model: Without faults; the values before are read from it.
        sites: Those that the journal names.

    Returns:
        The lowest accuracy first, ties by number: ``{trial, cell, acc, faults}``. The faults are
        text, of weights with the values before and after; those that changed most come first.
    """
    reported = [line for line in lines if not line.searching and line.acc < golden]
    worst = sorted(reported, key=lambda line: (line.acc, line.trial))[:MOST_TRIALS]
    return [_record(line, model, sites) for line in worst]


def _record(line: Line, model: nn.Module, sites: Sequence[Site]) -> dict[str, Any]:
    faults = FaultSet.from_json(msgspec.json.encode(line.faults), sites, f"trial {line.trial}")
    described = sorted(faults.describe(model), key=_change, reverse=True)[:MOST_FAULTS]
    faults_told = [str(fault) for fault in described]
    return {"trial": line.trial, "cell": line.cell, "acc": line.acc, "faults": faults_told}


def _change(fault: Fault) -> float:
    """How far the value moved; what is not finite moved furthest."""
    if fault.before is None or fault.after is None:
        return 0.0
    change = abs(float(fault.after) - float(fault.before))
    return change if math.isfinite(change) else math.inf
