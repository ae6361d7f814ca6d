"""Whole or not there, and one process at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faultsim.errors import ConfigError, JournalError
from faultsim.files import locked, replacing, write_json


def fail(path: Path, error: Exception) -> None:
    with replacing(path) as draft:
        draft.write_text("half")
        raise error


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"é": 1})
    assert "é" in path.read_text()
    with pytest.raises(ConfigError, match=r"cannot write .*a\.json: full$"):
        fail(path, RuntimeError("full\nand more"))
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError())
    assert os.listdir(tmp_path) == ["a.json"]
    assert path.read_text() == '{\n "é": 1\n}\n'


def test_drafts_of_two_processes_do_not_collide(tmp_path, monkeypatch):
    with replacing(tmp_path / "a") as one:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with replacing(tmp_path / "a") as other:
            assert one != other
            one.write_text("one")
            other.write_text("other")
        assert (tmp_path / "a").read_text() == "other"
    assert (tmp_path / "a").read_text() == "one"


def test_a_directory_is_one_process_s_at_a_time(tmp_path):
    with locked(tmp_path / "a"):
        with pytest.raises(JournalError, match="another process"), locked(tmp_path / "a"):
            pass
        with locked(tmp_path / "b"):
            pass
    with locked(tmp_path / "a"):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write"), locked(tmp_path / "file" / "a"):
        pass
