"""Runs are called by what differs between them."""

from __future__ import annotations

import pytest

from faultsim.report.labels import labels
from faultsim.report.sources import read_sources


@pytest.fixture
def named(write_campaign, tmp_path):
    def go(*settings: dict) -> list[str]:
        for number, given in enumerate(settings):
            write_campaign(tmp_path / f"run-{number}", [], **given)
        return [run.label for run in read_sources([tmp_path]).campaigns]

    return go


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([{}], ["medmamba-n on digits"]),
        ([{"seed": 0}, {"seed": 1}], ["seed 0", "seed 1"]),
        ([{"mode": "random"}, {"mode": "bit-wise"}], ["random", "bit-wise"]),
        (
            [{"model": "a:b", "seed": 1}, {"model": "c:d", "seed": 2}],  # either would do
            ["a:b", "c:d"],
        ),
        (
            [{"model": "x", "data": "one"}, {"model": "y", "data": "two"}],
            ["x, one", "y, two"],
        ),
        (
            [{"mode": "random"}, {"mode": "random", "target": "states"}, {"mode": "bit-wise"}],
            ["random, weights", "states", "bit-wise"],
        ),
        ([{"ber": 1e-4}, {"ber": 1e-5}], ["BER 0.0001", "BER 1e-05"]),
        ([{"bits": "30"}, {"bits": "sign"}], ["bits 30", "bits sign"]),
        ([{"direction": "0to1"}, {}], ["direction 0to1", "medmamba-n on digits"]),
        ([{"include": ["head", "stem"]}, {"include": ["head"]}],
         ["include head stem", "include head"]),
        ([{}, {}], ["run-0", "run-1"]),
        ([{"live": ["model"]}, {}], ["live model aaaaaa", "medmamba-n"]),
    ],
)  # fmt: skip
def test_labels(settings, expected, named):
    assert named(*settings) == expected


def test_directories_of_one_name_are_told_apart_by_their_paths(write_campaign, tmp_path):
    paths = [write_campaign(tmp_path / parent / "run", []) for parent in ("a", "b")]
    assert [run.label for run in read_sources([tmp_path]).campaigns] == list(map(str, paths))


def test_a_directory_given_twice_is_one_run(write_campaign, tmp_path):
    run = write_campaign(tmp_path / "a", [])
    assert len(read_sources([tmp_path, run, run / ".." / "a"]).campaigns) == 1


def test_runs_that_differ_in_a_setting_passed_over_share_their_label(write_campaign, tmp_path):
    for number, (rate, seed) in enumerate([(1e-4, 0), (1e-5, 0), (1e-5, 1)]):
        write_campaign(tmp_path / str(number), [], ber=rate, seed=seed)
    runs = read_sources([tmp_path]).campaigns
    assert labels(runs, but="ber") == ["seed 0", "seed 0", "seed 1"]
