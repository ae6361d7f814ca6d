"""Rooms import one way: the contract in pyproject.toml is kept."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_rooms_import_one_way(monkeypatch):
    linter = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(Path(__file__).parents[1])
    assert linter.lint_imports(no_cache=True) == linter.EXIT_STATUS_SUCCESS
