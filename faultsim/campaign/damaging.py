"""The trials of a campaign that did most harm, with the values that their faults changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from faultsim.faults import FaultSet, Site

MOST_TRIALS = 20
MOST_FAULTS = 20  # described of each trial; a bit-error rate may strike thousands


def damaging(
    lines: Iterable[Mapping[str, Any]], golden: float, model: nn.Module, sites: Sequence[Site]
) -> list[dict[str, Any]]:
    """The trials of the lowest accuracy, below the golden run's; those of a search are left out.

    Args:
        lines: Journal lines.
        golden: Accuracy of the golden run.
        model: Without faults; the values before are read from it.
        sites: Those that the journal names.

    Returns:
        The lowest accuracy first, ties by number: ``{trial, cell, acc, faults}``, the faults as
        text with their values before and after, where they are weights.
    """
    reported = [line for line in lines if "search" not in line["cell"] and line["acc"] < golden]
    worst = sorted(reported, key=lambda line: (line["acc"], line["trial"]))[:MOST_TRIALS]
    return [_record(line, model, sites) for line in worst]


def _record(line: Mapping[str, Any], model: nn.Module, sites: Sequence[Site]) -> dict[str, Any]:
    faults = FaultSet.from_json(json.dumps(line["faults"][:MOST_FAULTS]), sites)
    described = [str(fault) for fault in faults.describe(model)]
    return {**{key: line[key] for key in ("trial", "cell", "acc")}, "faults": described}
