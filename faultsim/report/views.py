"""One campaign as its user looks at it from Python: figures, and its layers ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from faultsim.errors import ConfigError, did_you_mean
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.labels import model_and_data
from faultsim.report.ranking import ranked
from faultsim.report.reading import read_campaign
from faultsim.report.render import Drawn, draw_figures, inline_svg
from faultsim.report.sources import Sources
from faultsim.table import Table

NONE = "no figures of this campaign"


class Figures(dict[str, Figure]):
    """Figures by name, which a notebook shows one below the other."""

    def __init__(self, drawn: list[Drawn]) -> None:
        super().__init__({item.module.NAME: item.figure for item in drawn})
        self._drawn = drawn

    def __repr__(self) -> str:
        return f"Figures({', '.join(self) or NONE})"

    def _repr_html_(self) -> str:
        shown = (f"<p><b>{item.title}</b></p>{inline_svg(item)}" for item in self._drawn)
        return "".join(shown) or f"<p>{NONE}</p>"


def figures_of(directory: Path, name: str | None = None) -> Mapping[str, Figure] | Figure:
    """The figures that a report of the campaign has; or the one of a name."""
    found = Figures(draw_figures(Sources([_read(directory)], [])))
    for figure in found.values():
        figure.set_facecolor("white")  # a page has its own paper, a notebook may be dark
    if name is None:
        return found
    if name not in found:
        raise ConfigError(
            f"{directory} has no figure {name!r}{did_you_mean(name, found)}; "
            f"it has {', '.join(found) or 'none'}"
        )
    return found[name]


def worst_layers_of(directory: Path, most: int | None = None) -> Table:
    """Its layers ranked, so many of them; the note is of all."""
    table = ranked(_read(directory))
    return replace(table, rows=table.rows[:most])


def _read(directory: Path) -> RecordedCampaign:
    run = read_campaign(directory)
    label = model_and_data(run)
    return replace(run, label=label, series=label)
