"""Trials whose faults all lie in one layer."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faultsim.report.campaigns import Numbers, RecordedCampaign
from faultsim.report.components import component_of

BY_LAYER = ("layer-wise", "exhaustive", "random", "bit-wise")
"""Modes that sample layers, by how evenly they cover them."""

THIRDS = ("early third", "middle third", "late third")


@dataclass(frozen=True)
class Localised:
    """The trials whose faults were all in one layer.

    Attributes:
        layer: That was struck.
        component: Of the network, that it belongs to.
        position: Where it stands in the model's order of layers, in thirds.
        trials: Their numbers.
    """

    layer: str
    component: str
    position: str
    trials: Numbers


def localised(run: RecordedCampaign) -> list[Localised]:
    """The trials of each layer, at the budget of faults that the campaign tried first.

    A layer-wise campaign confines faults to a layer, and an event to a tensor. Of others single
    flips are taken: several that happen to meet in one layer would be no fair sample.
    """
    struck: dict[str, Numbers] = {}
    for tensor, trials in _by_tensor(run).items():
        struck.setdefault(run.layer(tensor), array("q")).extend(trials)
    return [
        Localised(layer, component_of(layer), _third(run, layer), trials)
        for layer, trials in struck.items()
    ]


def _by_tensor(run: RecordedCampaign) -> dict[str, Numbers]:
    found: dict[str, Numbers] = defaultdict(lambda: array("q"))
    first = None
    for group in run.struck:
        confined, budget = _told(group.cell)
        if confined or group.mask:
            first = first or budget
            if budget == first:
                found[group.tensor].extend(group.trials)
    return found


def _told(cell: Mapping[str, Any]) -> tuple[bool, tuple[str, Any]]:
    """Whether faults are in one layer by themselves, and how many there are."""
    return "layer" in cell or cell.get("events") == 1, _budget(cell)


def _budget(cell: Mapping[str, Any]) -> tuple[str, Any]:
    for name in ("ber", "events", "hours"):
        if name in cell:
            return name, cell[name]
    return "flips", cell.get("flips", 1)


def _third(run: RecordedCampaign, layer: str) -> str:
    if layer not in run.layers:
        return "unknown"
    return THIRDS[3 * run.layers.index(layer) // len(run.layers)]
