"""Writes a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faultsim.errors import ConfigError
from faultsim.report.page import page
from faultsim.report.render import draw_figures, save_figures
from faultsim.report.sources import read_sources


@dataclass(frozen=True)
class Written:
    """What :func:`write_report` wrote.

    Attributes:
        page: The HTML file.
        figures: Files of the figures and their data.
        campaigns: Number of campaigns reported.
        perturbations: Number of perturbation records reported.
        protections: Number of comparisons of protections reported.
    """

    page: Path
    figures: list[Path]
    campaigns: int
    perturbations: int
    protections: int = 0


def write_report(
    directories: Sequence[str | Path],
    out: str | Path | None = None,
    figures: str | Path | None = None,
    formats: Sequence[str] = ("pdf",),
) -> Written:
    """Reports all campaigns, perturbation records and comparisons in directories and below.

    Args:
        directories: Searched at any depth.
        out: The page; ``report.html`` in the first directory unless given. It is written whole
            or not at all.
        figures: A folder for a file of each figure in each format, with its data as CSV.
        formats: Of those files: ``pdf``, ``svg``, ``png``.

    Raises:
        ConfigError: There is nothing to report, or something cannot be written.
        JournalError: A record is damaged.
    """
    if out is not None and Path(out).is_dir():  # before the work, and "" is a folder too
        raise ConfigError(f"cannot write the page to the folder {Path(out)}: name a file in it")
    sources = read_sources(directories)
    drawn = draw_figures(sources)
    path = Path(out) if out is not None else Path(directories[0], "report.html")
    write_page(path, page(sources, drawn))
    try:
        files = [] if figures is None else save_figures(drawn, Path(figures), formats)
    except OSError as error:
        raise ConfigError(f"cannot write figures to {figures}: {error.strerror}") from None
    return Written(
        path, files, len(sources.campaigns), len(sources.perturbations), len(sources.protections)
    )


def write_page(path: Path, text: str) -> None:
    """Writes a page whole or not at all; raises ConfigError where it cannot be written."""
    draft = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        if draft.is_file():
            draft.unlink()
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
