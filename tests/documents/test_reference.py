"""The reference leaves nothing out."""

from __future__ import annotations

from pathlib import Path

import faultsim
from faultsim.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there():
    page = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8").splitlines()
    told = {line.rpartition(":: ")[2] for line in page if line.startswith(".. auto")}
    assert [name for name in faultsim.__all__ if not _told(name, told)] == []


def _told(name: str, told: set[str]) -> bool:
    """A name, or the module that has it."""
    home = getattr(faultsim, name).__module__
    return f"faultsim.{name}" in told or home in told


def test_every_command_is_there():
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"{{command-help}} {name}\n" not in page] == []
