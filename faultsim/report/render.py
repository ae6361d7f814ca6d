"""Figures as files, and as SVG within the page; the same data give the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from faultsim.report.figures import FIGURES, FigureModule, perturbation
from faultsim.report.measures import told
from faultsim.report.narrow import abridge
from faultsim.report.sources import Sources
from faultsim.report.style import COLOURS, INK, Styles, house_style, narrow_figures, styles
from faultsim.report.table import Table

UNDATED = {
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


@dataclass(frozen=True)
class Drawn:
    """A figure of a report with the data behind it.

    Attributes:
        module: That drew it.
        table: Its data; at least one row.
        figure: As Matplotlib has it.
        styles: Of its runs.
        title: Of the figure.
        caption: What it shows.
    """

    module: FigureModule
    table: Table
    figure: Figure
    styles: Styles
    title: str
    caption: str


def draw_figures(sources: Sources) -> list[Drawn]:
    """Every figure there is data for."""
    tables = [(module, module.table(sources)) for module in FIGURES]
    by_series = styles(list(dict.fromkeys(run.series for run in sources.campaigns)))
    campaigns = {run.label: by_series[run.series] for run in sources.campaigns}
    perturbed = styles([run.label for run in sources.perturbations])
    with house_style():
        return [
            _drawn(m, table, perturbed if m is perturbation else campaigns, sources)
            for m, table in tables
            if table.rows
        ]


def _drawn(module: FigureModule, table: Table, styles: Styles, sources: Sources) -> Drawn:
    shown = table.values("run")
    runs = [run for run in sources.campaigns if run.label in shown]
    figure = module.draw(table, styles)
    return Drawn(
        module, table, figure, styles, told(module.TITLE, runs), told(module.CAPTION, runs)
    )


def save_figures(drawn: Sequence[Drawn], directory: Path, formats: Sequence[str]) -> list[Path]:
    """Writes each figure in each format, and its data as ``<figure>.csv``; no folder for none.

    Raises:
        OSError: They cannot be written.
    """
    if drawn:
        directory.mkdir(parents=True, exist_ok=True)
    written = []
    for item in drawn:
        for suffix in formats:
            written.append(directory / f"{item.module.NAME}.{suffix}")
            written[-1].write_bytes(_file(item, suffix))
        written.append(directory / f"{item.module.NAME}.csv")
        written[-1].write_text(item.table.csv(), encoding="utf-8")
    return written


def _file(item: Drawn, suffix: str) -> bytes:
    """The figure in a format; as ``tex``, its data as a table."""
    return item.table.latex().encode() if suffix == "tex" else _bytes(item, suffix)


def inline_svg(item: Drawn, *, narrow: bool = False, prefix: str = "") -> str:
    """The figure as an SVG element of a page: its ink is the colour of the text around it.

    Names of its parts begin with the figure's, so that several figures share a page.

    Args:
        item: The figure.
        narrow: Draw it for a narrow screen.
        prefix: Of its names, where a page has the figure several times.
    """
    if narrow:
        with house_style(), narrow_figures():
            figure = item.module.draw(item.table, item.styles)
            abridge(figure)
        item = replace(item, figure=figure)
    name = f"{prefix}{item.module.NAME}{'-narrow' * narrow}"
    text = _bytes(item, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style).*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", text)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace("'DejaVu Sans'", "var(--sans)")
    text = re.sub("<[^>]*>", lambda tag: _rounded(tag[0]), text)
    label = escape(f"{item.title}. {item.caption}")
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    for number, colour in enumerate(COLOURS, start=1):
        text = text.replace(colour.lower(), f"var(--series-{number})")
    return text.replace(INK, "currentColor")


def _rounded(tag: str) -> str:
    """A tag with coordinates as fine as a screen can show, on one line."""
    tag = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)
    return re.sub(r"\s+", " ", tag)


def _bytes(item: Drawn, suffix: str) -> bytes:
    file = io.BytesIO()
    with house_style(), matplotlib.rc_context({"svg.hashsalt": item.module.NAME}):
        paper = "white" if suffix == "png" else "none"
        item.figure.savefig(file, format=suffix, metadata=UNDATED[suffix], facecolor=paper)
    return file.getvalue()
