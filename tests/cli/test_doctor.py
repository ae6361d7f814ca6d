"""What ``faultsim doctor`` finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import faultsim
from faultsim.cli import doctor
from faultsim.cli.main import main
from faultsim.errors import NativeError
from faultsim.ops import _native

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_tells_versions_and_that_words_are_restored(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"faultsim {faultsim.__version__}" in said
    assert "flips and restores a word" in said


def test_says_how_to_have_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "numba" else object())
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.count("pip install") == said.count("faultsim[") == 1
    assert "'faultsim[numba]'" in said


def test_a_native_module_that_does_not_load_is_one_line_and_code_1(capsys, monkeypatch):
    def broken():
        raise NativeError("the native module was compiled for another faultsim; reinstall")

    monkeypatch.setattr(_native, "native", broken)
    assert main(["doctor"]) == 1
    assert "compiled for another faultsim" in capsys.readouterr().out


def test_a_word_that_stays_struck_is_code_1(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "flips_and_restores", lambda: False)
    assert main(["doctor"]) == 1
    assert "does not restore" in capsys.readouterr().out


OURS = {"dev", "models", "docs", "release", "audit"}
"""Extras for those who work on faultsim."""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_every_extra_for_users_is_listed():
    import tomllib

    extras = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    assert {feature.extra for feature in doctor.FEATURES} == set(extras) - OURS
