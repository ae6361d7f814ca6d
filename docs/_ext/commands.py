"""``{command-help} NAME``: the help of a sub-command, from the parser that runs it."""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stdout, suppress
from typing import Any
from unittest.mock import patch

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from faultsim.cli.main import main

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
WIDTH = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}


def help_of(name: str) -> str:
    """What ``faultsim NAME --help`` prints."""
    said = io.StringIO()
    with patch.dict(os.environ, WIDTH), redirect_stdout(said), suppress(SystemExit):
        main([name, "--help"])
    return ESCAPES.sub("", said.getvalue()).strip()


class CommandHelp(SphinxDirective):
    """The help as a literal block."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = help_of(self.arguments[0])
        block = nodes.literal_block(text, text)
        block["language"] = "text"
        return [block]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
