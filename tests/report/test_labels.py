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


def test_parts_of_a_study_are_called_by_their_directories(
    write_campaign, write_perturbation, pgd, tmp_path
):
    study = tmp_path / "study"
    for data in ("one", "two"):
        write_campaign(study / data / "layers", [], data=data, mode="layer-wise")
        write_campaign(study / data / "bits", [], data=data, mode="bit-wise")
        write_perturbation(study / data / "perturbations", pgd, data=data)
    (study / "study.json").write_text("{}")
    found = read_sources([study])
    names = ["one: bits", "one: layers", "two: bits", "two: layers"]
    assert [run.label for run in found.campaigns] == names
    assert [run.label for run in found.perturbations] == ["one", "two"]
    assert [run.label for run in read_sources([study / "two"]).campaigns] == ["bits", "layers"]
    write_campaign(tmp_path / "other", [], seed=5)
    names = [run.label for run in read_sources([study / "two", tmp_path / "other"]).campaigns]
    assert names == ["bits", "layers", "medmamba-n on digits"]


def test_the_same_part_of_two_studies_is_told_by_its_path(write_campaign, tmp_path):
    for name in ("first", "second"):
        write_campaign(tmp_path / name / "digits" / "bits", [])
        (tmp_path / name / "study.json").write_text("{}")
    names = [run.label for run in read_sources([tmp_path]).campaigns]
    assert names == [str(tmp_path / name / "digits" / "bits") for name in ("first", "second")]


def test_records_that_differ_in_a_long_list_are_told_by_their_directories(
    write_perturbation, pgd, tmp_path
):
    many = [f"pgd:eps={eps}/255,steps=20" for eps in range(1, 24)]
    for name, attack in (("short", ["fgsm"]), ("a", many), ("b", many[:-1])):
        write_perturbation(tmp_path / name, pgd, attack=attack)
    assert [run.label for run in read_sources([tmp_path]).perturbations] == ["a", "b", "short"]
    write_perturbation(tmp_path / "few" / "c", pgd, attack=["pgd"])
    found = read_sources([tmp_path / "short", tmp_path / "few"])
    assert [run.label for run in found.perturbations] == ["attack fgsm", "attack pgd"]
