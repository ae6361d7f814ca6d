"""The table of architectures: the script runs, and the page says what its record does."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from benchmarks.architectures import record
from benchmarks.architectures.__main__ import chosen, run
from benchmarks.architectures.architecture import Architecture, body_of
from benchmarks.architectures.coverage import coverage
from benchmarks.architectures.families import ARCHITECTURES
from benchmarks.architectures.inputs import labelled
from benchmarks.architectures.page import page, row
from benchmarks.architectures.words import words_of
from faultsim import Workload, tasks

SMALL = ("GRU, time first", "LSTM, dynamic int8")


def known(*names: str) -> list[Architecture]:
    return chosen(list(names), False, record.read())


def tiny() -> tuple[nn.Module, object]:
    return nn.Linear(4, 10), labelled(torch.rand(4, 4))


@pytest.mark.parametrize("name", SMALL)
def test_a_row_is_measured_by_the_code_of_all(name, tmp_path):
    (architecture,) = known(name)
    found = run([architecture], tmp_path / "record.json", tmp_path / "docs" / "page.md")
    entry = found["architectures"][name]
    assert entry["covered"] == 1
    assert entry["restored"] is True
    assert entry["equal"] == {"weights": True, "activations": True}
    assert all(isinstance(ratio, float) for ratio in entry["time"].values())
    assert entry["weight_sites"] > 2
    assert entry["modes"]["exhaustive"] is True
    assert found == json.loads((tmp_path / "record.json").read_text())
    assert (tmp_path / "docs" / "page.md").read_text() == page(found)


def test_a_missing_package_leaves_its_row_out_and_is_said(tmp_path):
    absent = Architecture("tiny", "mine", tiny, needs=("no_such_package",))
    found = run([absent], tmp_path / "record.json", tmp_path / "page.md")
    assert found["architectures"] == {}
    assert "tiny: no_such_package is not installed" in (tmp_path / "page.md").read_text()


def test_a_failure_stands_in_the_table_in_words(tmp_path):
    def nonsense(model: nn.Module, data: object) -> Workload:
        return Workload(model, data["test"], tasks.Embedding(distance=0.1), search=None)

    found = run(
        [Architecture("GRU", "mine", tiny, nonsense)], tmp_path / "record.json", tmp_path / "p.md"
    )
    entry = found["architectures"]["GRU"]
    assert entry["lines"] == 1
    assert isinstance(entry["modes"]["worst-case"], str)
    assert "worst-case: " in (tmp_path / "p.md").read_text()


def test_lines_are_those_that_run():
    for architecture in ARCHITECTURES:
        assert 0 <= architecture.lines <= 5, architecture.name
        if architecture.write is not None:
            assert architecture.code == body_of(architecture.write)
            assert "Workload(" in architecture.code


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_biases_beside_packed_words_are_parameters():
    with torch.random.fork_rng():
        found = coverage(nn.Sequential(torch.ao.nn.quantized.Conv2d(2, 3, 3)))
    assert (found["parameters"], found["covered"]) == (2 * 3 * 9 + 3, 1)


def test_a_parameter_may_be_called_scale():
    model = nn.Linear(4, 4)
    model.layer_scale = nn.Parameter(torch.ones(3))
    assert coverage(model)["covered"] == 1


def test_the_oracle_sees_every_word():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    model.register_buffer("kept", torch.ones(2), persistent=False)
    before = words_of(model)
    for name in ("0.weight", "1.running_var", "1.num_batches_tracked", "kept"):
        changed = {**dict(model.named_parameters()), **dict(model.named_buffers())}[name]
        was = changed.detach().clone()
        with torch.no_grad():
            changed.view(-1)[0] += 1
        assert {key for key, words in words_of(model).items() if words != before[key]} >= {name}
        with torch.no_grad():
            changed.copy_(was)
    assert words_of(model) == before


def test_there_are_as_many_as_asked_for_and_each_has_one_name():
    names = [architecture.name for architecture in ARCHITECTURES]
    assert len(set(names)) == len(names) >= 35


def test_the_page_is_that_of_the_record():
    if not record.RECORD.exists():
        pytest.skip("the record is not in this tree")
    found = record.read()
    assert record.PAGE.read_text(encoding="utf-8") == page(found)
    current = {architecture.name: architecture for architecture in ARCHITECTURES}
    for name, entry in found["architectures"].items():
        assert entry["code"] == current[name].code
        assert entry["lines"] == current[name].lines
        assert row(name, entry) in page(found)
