"""The blocks of a page that can be run, in order."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:^<!-- needs: (?P<needs>[\w ]+) -->\n)?^```(?P<kind>python|console)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
GENERATED = "architectures.md"
"""Its blocks are parts of functions, which the script that made it ran."""


class Block(NamedTuple):
    """Python, or commands after ``$``.

    Attributes:
        kind: ``python`` or ``console``.
        code: Its text, after as many empty lines as stand before it on the page.
        needs: Packages that it imports, and that may not be installed.
    """

    kind: str
    code: str
    needs: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """Those that cannot be imported."""
        return [name for name in self.needs if not imports(name)]


def imports(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def blocks(path: str) -> Iterator[Block]:
    """Those of a page of the repository."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        needs = (found["needs"] or "").split()
        line = text.count("\n", 0, found.start("code"))
        yield Block(found["kind"], "\n" * line + found["code"], tuple(needs))


def pages() -> list[str]:
    """Of the README and the site, all that have such blocks."""
    names = ["README.md"]
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = str(path.relative_to(ROOT))
        if path.name != GENERATED and any(blocks(name)):
            names.append(name)
    return names
