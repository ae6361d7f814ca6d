"""``{picture} NAME``: a drawing of ``drawings.py``, in the page, in the colours of its theme."""

from __future__ import annotations

from typing import Any

import drawings
from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Picture(SphinxDirective):
    """The drawing, and its caption, which is the directive's content."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        drawn = getattr(drawings, name)(" ".join(self.content))
        figure = nodes.figure(classes=["picture"])
        figure += nodes.raw("", f'<div class="scrolled">{drawn}</div>', format="html")
        caption = nodes.caption()
        caption += self.state.inline_text(" ".join(self.content), self.lineno)[0]
        figure += caption
        return [figure]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}
