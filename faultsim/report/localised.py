"""Trials whose faults all lie in one layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.components import component_of

BY_LAYER = ("layer-wise", "exhaustive", "random", "bit-wise")
"""Modes that sample layers, by how evenly they cover them."""

THIRDS = ("early third", "middle third", "late third")


@dataclass(frozen=True)
class Localised:
    """What faults in one layer did.

    Attributes:
        layer: That was struck.
        component: Of the network, that it belongs to.
        position: Where it stands in the model's order of layers, in thirds.
        harm: As :meth:`RecordedCampaign.harm`.
    """

    layer: str
    component: str
    position: str
    harm: float


def localised(run: RecordedCampaign) -> Iterator[Localised]:
    """The trials of one layer each, at the budget of faults that the campaign tried first.

    A layer-wise campaign confines faults to a layer, and an event to a tensor. Of others single
    flips are taken: several that happen to meet in one layer would be no fair sample.
    """

    @cache  # there are many trials, of few tensors
    def place(tensor: str) -> tuple[str, str, str]:
        layer = run.layer(tensor)
        return layer, component_of(layer), _third(run, layer)

    budget = None
    for line in run.lines:
        confined = "layer" in line.cell or line.cell.get("events") == 1
        if not line.faults or not (confined or len(line.faults) == 1):
            continue
        budget = budget or _budget(line.cell)
        if _budget(line.cell) == budget:
            yield Localised(*place(line.faults[0].tensor), run.harm(line))


def _budget(cell: Mapping[str, Any]) -> tuple[str, Any]:
    for name in ("ber", "events", "hours"):
        if name in cell:
            return name, cell[name]
    return "flips", cell.get("flips", 1)


def _third(run: RecordedCampaign, layer: str) -> str:
    if layer not in run.layers:
        return "unknown"
    return THIRDS[3 * run.layers.index(layer) // len(run.layers)]
