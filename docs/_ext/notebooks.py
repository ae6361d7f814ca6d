"""Pages under ``notebooks/`` are notebooks in jupytext's Markdown: each is served as such, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext

FOLDER = "notebooks/"


def link(app: Any, name: str, source: list[str]) -> None:
    """The way to the notebook, at the end of its page."""
    if name.startswith(FOLDER):
        file = f"{name.removeprefix(FOLDER)}.ipynb"
        source[0] += f'\n\n<p><a href="{file}" download>This page as a notebook</a></p>\n'


def write(app: Any, error: Exception | None) -> None:
    """The notebooks beside their pages, without outputs."""
    if error is None:
        for page in sorted(Path(app.srcdir, FOLDER).glob("*.md")):
            made = Path(app.outdir, FOLDER, f"{page.stem}.ipynb")
            jupytext.write(jupytext.read(page), made)


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", link)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
