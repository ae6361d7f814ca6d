"""Wrong arguments end with one line that names what is wrong and the help to read."""

from __future__ import annotations

import pytest

import faultsim
from faultsim.cli import main
from faultsim.cli.parsing import parse


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("campaign --trials x", "--trials must be a whole number, not 'x'; see faultsim campaign"),
        ("campaign --trials=x", "--trials must be a whole number, not 'x'"),
        ("campaign --trials", "--trials needs a value"),
        ("campaign --trials 3 4", "unexpected argument '4'"),
        ("campaign 5", "unexpected argument '5'"),
        ("campaign --tirals 3", "unknown flag --tirals: did you mean '--trials'?; see faultsim c"),
        ("campaign --batch_sise 3", "did you mean '--batch-size'?"),
        ("campaign --replay", "did you mean '--no-replay'?"),
        ("campaign --resume yes", "unexpected argument 'yes'"),
        ("campaign --mode Random", "did you mean 'random'?"),
        ("campaign --mode worst", "did you mean 'worst-case'?"),
        ("campaign --flips 1 x", "--flips must be a whole number, not 'x'"),
        ("campaign --batch-size 99999999999999999999", "--batch-size must be at most"),
        ("campaign --threads 10000", "--threads must be at most 1024"),
        ("campaign --ber nan", "--ber must be a finite number, not nan"),
        ("perturb --foo", "unknown flag --foo; see faultsim perturb --help"),
        ("train --lr many", "--lr must be a finite number, not 'many'; see faultsim train"),
        ("inspect --bits sing", "did you mean 'sign'?"),
        ("report --format pfd", "--format must be pdf, svg, png or tex, not 'pfd'"),
        ("reproduce", "DIRECTORY is missing; see faultsim reproduce --help"),
        ("reproduce --trial 3", "DIRECTORY is missing"),
        ("reproduce d", "--trial is missing"),
        ("reproduce d e --trial 3", "unexpected argument 'e'"),
        ("reproduce d --trial one", "--trial must be a whole number, not 'one'"),
        ("campain --trials 3", "unknown command 'campain': did you mean 'campaign'?"),
        ("--trials 3", "a command comes first; there are campaign, plan, perturb"),
    ],
)
def test_one_line_and_exit_code_2(line, message, capsys):
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (err.count("\n"), out) == (1, "")


def test_what_the_parser_alone_finds_wrong_is_its_first_paragraph(monkeypatch, capsys):
    monkeypatch.setattr("faultsim.cli.complaint._check", lambda flags, given: None)
    assert main(["campaign", "--tirals", "3"]) == 2
    assert capsys.readouterr().err.startswith("faultsim: Unrecognized options: --tirals")


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"faultsim {faultsim.__version__}\n"


def test_help_says_what_no_replay_does(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["campaign", "--help"])
    assert not ended.value.code
    assert "--no-replay runs all" in " ".join(capsys.readouterr().out.replace("│", "").split())


def test_flags_complete_a_config_file_that_would_not_stand_alone(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('mode = "from-file"\nflips = 3\n')
    command = parse(["campaign", "--config", str(path), "--faults", "f.json"])
    assert (command.mode, command.faults, command.flips) == ("from-file", "f.json", (3,))
    assert main(["campaign", "--config", str(path)]) == 2


def test_a_factory_error_of_two_lines_is_one(tmp_path, monkeypatch, capsys):
    (tmp_path / "two_lines.py").write_text("def make():\n    raise ValueError('one\\n  two')\n")
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "--model", "two_lines:make"]) == 2
    err = capsys.readouterr().err
    assert err == "faultsim: two_lines:make failed: ValueError: one two\n"
