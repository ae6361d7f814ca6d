"""The figures of a report, one file each.

A figure module makes its table from the sources and draws the figure from the table alone, so that
the data published with a figure are all that it shows. A table without rows has no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure

from faultsim.report.figures import (
    bits,
    components,
    diagnosis,
    distribution,
    error_rates,
    events,
    flips,
    heatmap,
    interplay,
    layers,
    outcomes,
    perturbation,
    propagation,
    protections,
    scores,
)
from faultsim.report.sources import Sources
from faultsim.report.style import Styles
from faultsim.report.table import Table


class FigureModule(Protocol):
    """What a module under ``report/figures/`` offers.

    Title and caption may name what the runs are measured by (:mod:`faultsim.report.measures`).
    """

    NAME: str
    TITLE: str
    CAPTION: str

    def table(self, sources: Sources) -> Table:
        """The data; no rows where there is nothing to show."""

    def draw(self, table: Table, styles: Styles) -> Figure:
        """The figure of a table that has rows, each run in its style."""


FIGURES: Sequence[FigureModule] = (
    outcomes,
    events,
    diagnosis,
    scores,
    distribution,
    flips,
    error_rates,
    heatmap,
    layers,
    components,
    bits,
    propagation,
    perturbation,
    interplay,
    protections,
)
"""In the order of the page."""
