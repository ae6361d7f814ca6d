"""Long help has groups and loses no flag; shells complete."""

from __future__ import annotations

import re

import pytest

from faultsim.cli.commands import COMMANDS
from faultsim.cli.flags import flags_of
from faultsim.cli.main import main
from faultsim.kinds import KINDS


def told(capsys, *argv: str) -> str:
    with pytest.raises(SystemExit):
        main([*argv, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["campaign", "plan", "protect"])
def test_long_help_has_groups_and_every_flag(capsys, command):
    text = told(capsys, command)
    for group in ("what is run", "what is struck", "how faults are chosen", "estimating"):
        assert f"─ {group} ─" in text
    found = re.findall(r"^│ (--[a-z-]+)", text, re.MULTILINE)
    assert sorted(found) == sorted(name for name in flags_of(COMMANDS[command]))


@pytest.mark.parametrize("command", ["campaign", "plan", "protect"])
def test_no_line_of_a_long_help_is_lost(capsys, monkeypatch, command):
    grouped = told(capsys, command)
    monkeypatch.setattr("faultsim.cli.parsing.grouped", lambda text: text)
    assert set(told(capsys, command).splitlines()) - set(grouped.splitlines()) == set()
    assert all(kind in grouped for kind in KINDS)


def test_every_flag_of_a_campaign_has_a_group(capsys):
    rest = told(capsys, "campaign").partition("─ options ─")[2].partition("╰")[0]
    assert "--" not in rest.replace("-h, --help", "")


def test_short_help_has_none(capsys):
    assert told(capsys, "merge").count("╭") <= 2


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete(capsys, shell):
    assert main(["completion", shell]) == 0
    assert "layer-wise" in capsys.readouterr().out
