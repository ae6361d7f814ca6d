"""Files of figures and data, and the errors of what cannot be read or written."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest

from faultsim.cli import main
from faultsim.report import write_report
from faultsim.report.figures import FIGURES
from faultsim.report.render import draw_figures, save_figures
from faultsim.report.sources import read_sources

ESTIMATE = {"mode": "estimate", "margin": 0.1}
MAGIC = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}


def report(*arguments) -> int:
    return main(["report", *map(str, arguments)])


def test_each_figure_comes_in_each_format_with_its_data(small, tmp_path, capsys):
    figures = tmp_path / "new" / "figures"
    assert report(small, "--figures", figures, "--format", *MAGIC) == 0
    out = capsys.readouterr().out
    assert f"Report of 1 campaign: {small / 'report.html'}" in out
    assert f"8 files of figures and data: {figures}" in out
    assert {path.name for path in figures.iterdir()} == {
        f"{name}.{suffix}" for name in ("outcomes", "distribution") for suffix in (*MAGIC, "csv")
    }
    for path in figures.iterdir():
        assert path.read_bytes().startswith(MAGIC.get(path.suffix[1:], b"run,"))


def test_the_csv_is_the_table(layer_wise, tmp_path):
    sources = read_sources([layer_wise])
    drawn = draw_figures(sources)
    save_figures(drawn, tmp_path / "f", [])
    assert len(list((tmp_path / "f").iterdir())) == len(drawn) == 5
    for module in FIGURES:
        table = module.table(sources)
        if table.rows:
            header, *rows = csv.reader((tmp_path / "f" / f"{module.NAME}.csv").open())
            assert header == list(table.columns)
            expected = [[row[name] for name in header] for row in table.rows]
            assert rows == [["" if v is None else str(v) for v in row] for row in expected]


def test_figures_are_the_same_every_time_and_keep_their_text(small, tmp_path):
    for name in ("a", "b"):
        drawn = draw_figures(read_sources([small]))
        save_figures(drawn, tmp_path / name, tuple(MAGIC))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    assert b"/FontFile2" in (tmp_path / "a" / "outcomes.pdf").read_bytes()  # TrueType, no outlines
    assert ">benign</text>" in (tmp_path / "a" / "outcomes.svg").read_text()


def test_pdf_is_the_usual_format(small, tmp_path):
    assert report(small, "--figures", tmp_path / "f") == 0
    assert {path.suffix for path in (tmp_path / "f").iterdir()} == {".pdf", ".csv"}


def test_no_figures_are_said_and_leave_no_folder(write_campaign, tmp_path, capsys):
    run, figures = write_campaign(tmp_path / "a", [], **ESTIMATE), tmp_path / "figures"
    assert report(run, "--figures", figures) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == [f"There are no figures of these campaigns: nothing is written to {figures}"]
    assert not figures.exists()


def test_several_runs_are_found_below_a_directory(whole):
    assert ">layer-wise</a>" in whole.read_text()
    assert ">worst-case</a>" in whole.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{empty}"], "holds nothing to report"),
        ([], "name one or more campaign directories"),
        (["{none}"], "there is no directory"),
        (["{run}/manifest.json"], "manifest.json is no directory"),
        (["{run}", "{empty}"], "holds nothing to report"),
        (["{run}", "--out", "/proc/nothing/report.html"], "cannot write /proc/nothing"),
        (["{run}", "--out", "{empty}"], "empty: name a file in it"),
        (["{run}", "--out", "."], "cannot write the page to the folder .: name a file"),
        (["{run}", "--out", ""], "cannot write the page to the folder .: name a file"),
        (["{run}", "--out", "/"], "cannot write the page to the folder /: name a file"),
        (["{run}", "--figures", "/proc/nothing"], "cannot write figures to /proc/nothing"),
        (["{run}", "--format", "png"], "--format goes with --figures"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message, small, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    names = {"empty": tmp_path / "empty", "none": tmp_path / "none", "run": small}
    assert report(*(argument.format(**names) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("faultsim: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_damaged_records_are_named(small, tmp_path, capsys):
    (small / "trials-0.jsonl").write_text("nonsense\n")
    assert report(small) == 2
    assert "line 1 of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.json", "nonsense", "{run}/manifest.json: JSON is malformed"),
        ("manifest.json", "{}", "{run}/manifest.json: missing required field config"),
        ("manifest.json", "[]", "{run}/manifest.json: expected object, got array"),
        ("manifest.json", "null", "{run}/manifest.json: expected object, got null"),
        ("manifest.json", '{"config": []}', "{run}/manifest.json: $.config: expected object"),
        ("summary.json", "[1]", "{run}/summary.json: expected object, got array"),
        (
            "summary.json",
            '{"damaging": [{"trial": 0}]}',
            "{run}/summary.json: $.damaging[0]: missing required field cell",
        ),
        (
            "trials-0.jsonl",
            '{"trial":0}\n',
            "line 1 of {run}/trials-0.jsonl is damaged: missing required field cell",
        ),
    ],
)
def test_files_of_something_else_are_named(name, text, message, small, capsys):
    (small / name).write_text(text)
    assert report(small) == 2
    error = capsys.readouterr().err
    assert message.format(run=small) in error
    assert error.count("\n") == 1


def test_the_page_before_survives_a_failed_one(small, monkeypatch):
    page = write_report([small]).page
    before = page.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    assert report(small) == 2
    assert page.read_bytes() == before
    assert not list(small.glob("*.tmp"))


def test_what_reads_records_does_without_torch(whole, layer_wise, tmp_path):
    commands = [
        ["report", str(whole.parent), "--out", str(tmp_path / "page.html")],
        ["atlas", str(whole.parent), "--out", str(tmp_path / "atlas.html")],
        ["compare", str(layer_wise), str(layer_wise)],
        ["export", str(layer_wise), "--out", str(tmp_path / "tables")],
    ]
    code = (
        "import sys; from faultsim.cli import main\n"
        f"for command in {commands}: assert main(command) == 0, command\n"
        "assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
