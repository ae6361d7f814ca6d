"""What is said where a command was interrupted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape


def say_how_to_go_on(console: Console, directory: str | Path) -> None:
    """What to add to an interrupted command."""
    text = f"Interrupted. To go on, add --resume --out {escape(str(directory))}"
    with suppress(OSError):  # the terminal may be gone
        console.print(text, soft_wrap=True)
