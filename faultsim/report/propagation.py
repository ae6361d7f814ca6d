"""Trials that were observed, by how deep in the pass their faults struck."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from faultsim.campaign.observed import Strayed
from faultsim.report.campaigns import RecordedCampaign

BANDS = ("early third", "middle third", "late third")
"""Of the outputs in the order of the pass, in which a trial's first fault struck."""

UNKNOWN = "elsewhere"
"""Faults in what has no output of its own, or none that is observed."""


@dataclass(frozen=True)
class Travelled:
    """One trial.

    Attributes:
        band: One of :data:`BANDS`, or :data:`UNKNOWN`.
        sites: What strayed, by name.
    """

    band: str
    sites: Mapping[str, Strayed]


def travelled(run: RecordedCampaign) -> Iterator[Travelled]:
    """The observed trials of a campaign."""
    order = list(run.observed_samples)
    depths: dict[str, int] = {}
    for position, name in enumerate(order):
        depths.setdefault(_module(name), position)
    for line in run.observed:
        layers = {run.layer(fault.tensor) for fault in run.lines[line.trial].faults}
        struck = [d for layer in layers if (d := _depth(layer, depths)) is not None]
        band = BANDS[len(BANDS) * min(struck) // len(order)] if struck else UNKNOWN
        yield Travelled(band, {site.site: site for site in line.sites})


def _module(site: str) -> str:
    """The module whose output a site is."""
    return re.split("[:@]", site)[0]


def _depth(layer: str, depths: Mapping[str, int]) -> int | None:
    """Of the first output of a module, or of the first in it or around it that has one."""
    name = _module(layer)
    if name in depths:
        return depths[name]
    inside = [depth for other, depth in depths.items() if other.startswith(f"{name}.")]
    if inside:
        return min(inside)
    parent = name.rpartition(".")[0]
    return _depth(parent, depths) if parent else None
