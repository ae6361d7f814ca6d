"""Whole campaigns: journal, resume, refusal, and a model that is never left changed."""

from __future__ import annotations

import json
import math
import shutil
from itertools import product
from pathlib import Path

import pytest
import torch

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign import reproduce
from faultsim.campaign.journal import Journal
from faultsim.data import Dataset
from faultsim.errors import ConfigError, InjectionError, JournalError

KEYS = [
    "trial", "cell", "seed", "flips", "faults", "n", "correct", "due", "sdc", "benign", "masked",
    "loss", "max_dev", "acc", "auc",
]  # fmt: skip


@pytest.fixture
def run(model, dataset, tmp_path):
    def go(name: str = "a", **settings):
        usual = {"mode": "random", "trials": 5, "flips": (1, 4), "out": str(tmp_path / name)}
        live = {"model": model, "data": dataset}
        live |= {key: settings.pop(key) for key in ("progress",) if key in settings}
        return run_campaign(CampaignConfig(**usual | settings), **live)

    return go


def read(directory: Path) -> bytes:
    return (directory / "trials-0.jsonl").read_bytes()


def lines(directory: Path) -> list[dict]:
    return [json.loads(line) for line in read(directory).splitlines()]


def test_journal_lines_hold_the_contract(run):
    journal = lines(run().directory)
    assert [line["trial"] for line in journal] == list(range(10))
    for line in journal:
        assert list(line) == [*KEYS, "events"]
        assert line["due"] + line["sdc"] + line["benign"] + line["masked"] == line["n"] == 24
        assert line["flips"] == len(line["faults"]) == line["cell"]["flips"]
        assert line["acc"] == line["correct"] / 24


def test_the_journal_is_json_even_where_numbers_are_not_finite(run):
    text = read(run(bits="30", flips=(40,), trials=8).directory)

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    parsed = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    assert any(line["due"] for line in parsed)


def test_summary_agrees_with_the_journal(run):
    result = run(trials=12)
    journal = lines(result.directory)
    summary = json.loads((result.directory / "summary.json").read_text())
    assert summary["golden"]["acc"] == result.golden.acc
    for cell in summary["cells"]:
        rows = [line for line in journal if line["cell"] == cell["cell"]]
        assert cell["trials"] == len(rows) == 12
        sdc = sum(row["sdc"] for row in rows) / sum(row["n"] for row in rows)
        assert math.isclose(cell["rates"]["sdc"]["value"], sdc)
        assert cell["lowest"] == min(row["acc"] for row in rows)
        assert math.isclose(sum(rate["value"] for rate in cell["rates"].values()), 1)


def test_the_same_settings_give_the_same_bytes(run):
    assert read(run("a").directory) == read(run("b").directory)
    assert read(run("c", seed=1).directory) != read(run("a", resume=True).directory)


def test_manifest_names_versions_and_digests(run, dataset):
    manifest = json.loads((run().directory / "manifest.json").read_text())
    assert manifest["data"]["digest"] == dataset.digest
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["config"]["threads"] == torch.get_num_threads()
    assert len(manifest["model"]["digest"]) == 64


def test_the_model_is_bit_identical_afterwards(run, model, bits_of_model):
    before = bits_of_model(model)
    run(mode="worst-case", flips=(1,), trials=2)
    assert bits_of_model(model) == before


@pytest.mark.parametrize("mode", ["random", "worst-case"])
def test_resuming_gives_the_bytes_of_an_uninterrupted_run(run, mode):
    settings = {"mode": mode, "flips": (1, 2), "trials": 4, "include": ("gain", "head")}
    uninterrupted = run("whole", **settings)
    whole = read(uninterrupted.directory)
    rows = whole.splitlines(keepends=True)
    for keep, torn in product((0, 1, 7, -1), (b"", b'{"trial":7,"cell"')):
        name = f"cut after {keep}, {len(torn)}"
        directory = uninterrupted.directory.with_name(name)
        shutil.copytree(uninterrupted.directory, directory)
        (directory / "trials-0.jsonl").write_bytes(b"".join(rows[:keep]) + torn)
        (directory / "summary.json").unlink()
        result = run(name, **settings, resume=True)
        assert read(directory) == whole, name
        assert result.cells == uninterrupted.cells, name


def test_recorded_trials_are_not_run_again(run, monkeypatch):
    directory = run().directory

    def never(*args):
        raise AssertionError("ran a recorded trial")

    monkeypatch.setattr("faultsim.run.experiment.Experiment.run", never)
    assert run(resume=True).directory == directory


@pytest.mark.parametrize("when", [0, 3, 9])
def test_interrupt_keeps_what_is_recorded_and_restores_the_model(run, model, bits_of_model, when):
    before, whole = bits_of_model(model), read(run("whole").directory)
    done = None

    def progress(report):
        nonlocal done
        done = report.done

    def interrupt(*_):
        if done == when:
            raise KeyboardInterrupt

    handle = model.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("cut", progress=progress)
    handle.remove()
    assert len(lines(Path(run("cut", resume=True).directory))) == 10
    assert bits_of_model(model) == before
    result = run("cut", resume=True)
    assert read(result.directory) == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 9}, "config seed = 0, now it is 9"),
        ({"flips": (1, 5)}, r"config flips = \[1, 4\], now it is \[1, 5\]"),
        ({"batch_size": 3}, "config batch_size"),
    ],
)
def test_resume_refuses_another_configuration(run, change, message):
    run()
    with pytest.raises(JournalError, match=message):
        run(resume=True, **change)


def test_resume_refuses_another_model_and_other_data(run, model, dataset, tmp_path):
    run()
    config = CampaignConfig(
        mode="random", trials=5, flips=(1, 4), out=str(tmp_path / "a"), resume=True
    )
    other = Dataset("stripes", 3, dataset.train, dataset.val, dataset.val)
    with pytest.raises(JournalError, match="data digest"):
        run_campaign(config, model=model, data=other)
    with torch.no_grad():
        model.gain[0] = 2
    with pytest.raises(JournalError, match="model digest"):
        run_campaign(config, model=model, data=dataset)


def test_a_campaign_is_never_overwritten(run):
    before = read(run().directory)
    with pytest.raises(ConfigError, match="holds a campaign: give --resume"):
        run(seed=3)
    assert read(run(resume=True).directory) == before


def test_damaged_journals_are_refused(run):
    directory = run().directory
    rows = read(directory).splitlines(keepends=True)
    for text in (rows[0] + rows[2], rows[0] + b"{}\n", b"nonsense\n"):
        (directory / "trials-0.jsonl").write_bytes(text)
        with pytest.raises(JournalError, match="is damaged"):
            run(resume=True)


def test_a_journal_with_other_faults_is_refused(run):
    directory = run().directory
    text = read(directory).replace(b'"index":', b'"index":1', 1)
    (directory / "trials-0.jsonl").write_bytes(text)
    with pytest.raises(JournalError, match="other faults"):
        run(resume=True)


def test_two_processes_cannot_share_a_directory(run, tmp_path):
    manifest = json.loads((run().directory / "manifest.json").read_text())
    with (
        Journal(tmp_path / "a", manifest, resume=True),
        pytest.raises(JournalError, match="another process"),
    ):
        run(resume=True)


@pytest.mark.parametrize(
    ("resume", "message"), [(True, "leave --resume out to begin one"), (False, "cannot write")]
)
def test_directories_that_cannot_be_used(model, dataset, tmp_path, resume, message):
    (tmp_path / "file").write_text("")
    config = CampaignConfig(mode="random", out=str(tmp_path / "file"), resume=resume, trials=1)
    with pytest.raises((ConfigError, JournalError), match=message):
        run_campaign(config, model=model, data=dataset)


@pytest.mark.parametrize("threads", [0, 1])
def test_what_was_not_begun_is_not_gone_on_with(run, tmp_path, threads):
    with pytest.raises(JournalError, match="leave --resume out to begin one"):
        run(threads=threads, out=str(tmp_path / "new"), resume=True)
    assert not list((tmp_path / "new").glob("*.json*"))


def test_a_leaked_bit_ends_in_an_error(run, model):
    def leak(progress):
        with torch.no_grad():
            model.gain[1] = 3

    with pytest.raises(InjectionError, match="digest differs"):
        run(progress=leak)


def test_threads_are_as_before(run):
    before = torch.get_num_threads()
    run(threads=1)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "settings",
    [
        {"trials": 0},
        {"flips": ()},
        {"flips": (0,)},
        {"ber": 1.5},
        {"ber": 0.1, "mode": "exhaustive"},
        {"seed": -1},
        {"mode": "from-file"},
        {"faults": "x.json"},
        {"resume": True},
        {"batch_size": 0},
        {"direction": "0to1", "op": "stuck-at-1"},
        {"direction": "0to1", "target": "activations"},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ConfigError):
        CampaignConfig(**settings)


def test_activations_can_be_struck(run):
    journal = lines(run(target="activations", trials=3).directory)
    assert {line["faults"][0]["tensor"] for line in journal} <= {"conv", "norm", "act", "head"}


class TestReproduce:
    """On the embedded model, since a live one cannot be loaded again."""

    @pytest.fixture
    def directory(self, tmp_path):
        path = tmp_path / "recorded"
        config = CampaignConfig(mode="random", trials=2, flips=(50,), limit=20, out=str(path))
        return run_campaign(config).directory

    def test_the_outcome_is_the_same(self, directory):
        for trial in (0, 1):
            again = reproduce(directory, trial)
            assert again.differences == []
            assert len(again.faults) == 50
            assert "→" in again.faults[0]

    def test_a_changed_record_is_noticed(self, directory):
        journal = directory / "trials-0.jsonl"
        journal.write_text(journal.read_text().replace('"correct":', '"correct":1'))
        assert reproduce(directory, 1).differences == ["correct"]

    def test_trials_that_are_not_there(self, directory, run, tmp_path):
        with pytest.raises(JournalError, match="trials 0 to 1, not 2"):
            reproduce(directory, 2)
        with pytest.raises(JournalError, match="holds no campaign"):
            reproduce(tmp_path / "none", 0)
        with pytest.raises(ConfigError, match="live model"):
            reproduce(run().directory, 0)
