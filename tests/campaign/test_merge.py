"""Shards: together they are the campaign, byte for byte, and nothing else is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign.merge import merge
from faultsim.errors import ConfigError, JournalError

JOURNAL = "trials-0.jsonl"


@pytest.fixture
def run(model, dataset, tmp_path):
    def go(name: str, shard: str | None = None, **settings) -> Path:
        usual = {"mode": "random", "trials": 5, "flips": (1, 3), "out": str(tmp_path / name)}
        config = CampaignConfig(**usual | settings, shard=shard)
        return run_campaign(config, model=model, data=dataset).directory

    return go


@pytest.mark.parametrize("of", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"trials": 70, "flips": (1,)},
        {"mode": "layer-wise", "trials": 1},
        {"granularity": "inference"},
        {"observe": True},
        {"perturb": "fgsm:eps=0.1", "trials": 4},
        {"fault_model": "seu", "fit_per_mbit": 10.0, "flips": (1, 2, 4)},
    ],
    ids=["random", "long", "layer-wise", "inference", "observe", "perturbed", "events"],
)
def test_shards_together_are_the_campaign(run, tmp_path, of, settings):
    whole = run("whole", **settings)
    shards = [run(f"shard-{n}", f"{n}/{of}", **settings) for n in range(1, of + 1)]
    merged = tmp_path / "merged"
    assert merge(shards[::-1], merged) == len((whole / JOURNAL).read_bytes().splitlines())
    files = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert {path.name: path.read_bytes() for path in merged.iterdir()} == files
    (shards[0] / "summary.json").unlink()  # ended by somebody before it was written
    merge(shards, tmp_path / "without")
    assert not (tmp_path / "without" / "summary.json").exists()
    again = run("without", resume=True, **settings)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == files


def test_a_shard_is_given_more_trials_and_is_that_of_the_longer_campaign(run, tmp_path):
    for n in (1, 2):
        run(f"shard-{n}", f"{n}/2", trials=2)
        run(f"shard-{n}", f"{n}/2", trials=5, resume=True)
    merge([tmp_path / "shard-1", tmp_path / "shard-2"], tmp_path / "merged")
    assert (tmp_path / "merged" / JOURNAL).read_bytes() == (run("whole") / JOURNAL).read_bytes()


def test_what_does_not_belong_together_is_refused_in_one_line(run, tmp_path):
    first, second = run("first", "1/2"), run("second", "2/2")
    for given, message in (
        ([], "nothing to merge: give the directories of all shards"),
        ([first], "shard 2/2 is missing"),
        ([first, first, second], "are both shard 1/2"),
        ([first, run("of-three", "2/3")], "is one of 3 shards, .* one of 2"),
        (
            [first, run("seed", "2/2", seed=1)],
            "seed is of another campaign than .*first: config seed = 1, there 0",
        ),
        ([run("whole"), first], "is no shard, but a whole campaign"),
    ):
        with pytest.raises(JournalError, match=message):
            merge(given, tmp_path / "merged")
    with pytest.raises(ConfigError, match="holds a campaign"):
        merge([first, second], tmp_path / "whole")
    journal = second / JOURNAL
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(JournalError, match="has 4 of 5 trials: finish it with --resume"):
        merge([first, second], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_shard_cannot_be_resumed_as_another(run):
    directory = run("first", "1/2")
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    for shard in ("2/2", None):
        with pytest.raises(JournalError, match="config shard = 1/2"):
            run("first", shard, resume=True)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert json.loads(before["manifest.json"])["planned"] == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shard": "0/4"}, "2/8 is the second of eight"),
        ({"shard": "5/4"}, "--shard '5/4' not understood"),
        ({"shard": "1"}, "not understood"),
        ({"shard": "1/4", "mode": "worst-case"}, "does not go with --mode worst-case"),
    ],
)
def test_parts_that_there_are_not(settings, message):
    with pytest.raises(ConfigError, match=message):
        CampaignConfig(**{"mode": "random", "out": "a"} | settings)


def test_more_shards_than_trials(run):
    with pytest.raises(ConfigError, match="10 trials are too few for 11 shards"):
        run("a", "11/11")
    with pytest.raises(ConfigError, match="--shard needs --out"):
        run("a", "1/2", out=None)
