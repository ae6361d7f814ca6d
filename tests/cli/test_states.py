"""Faults in hidden states from the command line, from campaign to reproduction."""

from __future__ import annotations

import json

import pytest

from faultsim.cli import main

QUICK = ["campaign", "--limit", "8", "--trials", "2", "--threads", "1", "--target", "states"]


@pytest.fixture
def journal(tmp_path):
    """Runs a campaign and gives its lines."""

    def run(*flags: str, out: str = "out") -> list[dict]:
        assert main([*QUICK, "--out", str(tmp_path / out), *flags]) == 0
        text = (tmp_path / out / "trials-0.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return run


def test_layers_are_the_directions_of_every_scan(journal):
    lines = journal("--mode", "layer-wise", "--flips", "1", "--include", "layers.3")
    parts = [line["cell"]["layer"].partition(":")[2] for line in lines]
    assert parts == [
        p for p in ("rows", "columns", "rows-reversed", "columns-reversed") for _ in "ab"
    ]
    assert all("step" in fault for line in lines for fault in line["faults"])


def test_bit_error_rates(journal):
    lines = journal("--mode", "random", "--ber", "1e-5")
    expected = 2 * 1e-5 * 4_423_680  # trials, rate, bits of all states; five deviations
    assert abs(sum(line["flips"] for line in lines) - expected) < 5 * expected**0.5


def test_worst_case_and_its_reproduction(journal, tmp_path, capsys):
    lines = journal(
        "--mode", "worst-case", "--flips", "2", "--bits", "sign", "--include", "layers.0.*"
    )
    searched = [line for line in lines if line["cell"].get("search")]
    assert {line["flips"] for line in searched} == {1, 2}
    assert main(["reproduce", str(tmp_path / "out"), "--trial", str(len(lines) - 1)]) == 0
    assert "outcome is the same" in capsys.readouterr().out


def test_a_fault_file_may_strike_states_beside_weights(journal, tmp_path):
    scan = "layers.0.blocks.0.self_attention.selective_scan:columns"
    faults = [
        {"tensor": scan, "index": [3, 1], "step": 9, "bit": 30},
        {"tensor": "head.bias", "index": 0, "bit": 31},
    ]
    path = tmp_path / "faults.json"
    path.write_text(json.dumps(faults))
    flags = ["campaign", "--mode", "from-file", "--faults", str(path), "--limit", "8"]
    assert main([*flags, "--out", str(tmp_path / "out")]) == 0
    (line,) = (tmp_path / "out" / "trials-0.jsonl").read_text().splitlines()
    assert [fault["tensor"] for fault in json.loads(line)["faults"]] == [scan, "head.bias"]


def test_inspect_lists_steps(capsys):
    assert main(["inspect", "--target", "states", "--include", "layers.0.*"]) == 0
    out = capsys.readouterr().out
    assert "18×16, 64 steps" in out
    assert "2,359,296 bits in 4 tensors" in out
