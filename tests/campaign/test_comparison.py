"""Two campaigns beside each other: pairs where faults are the same, else two samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import faultsim
from faultsim import CampaignConfig, Workload, run_campaign, tasks
from faultsim.cli.main import main
from faultsim.errors import ConfigError, FaultSimError

ESTIMATE = {"mode": "estimate", "margin": 0.1, "max_trials": 40}


class Guarded(nn.Sequential):
    """The same words, but a hidden value that is too large counts for nothing."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        hidden = self[0](rows)
        return self[2](torch.relu(hidden.where(hidden.abs() < 4, 0.0)))


def work(kind: type = nn.Sequential, hidden: int = 6, shift: float = 0.0) -> Workload:
    torch.manual_seed(0)
    model = kind(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 3)).eval()
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(1)) + shift
    return Workload(model, (rows, torch.arange(10) % 3), tasks.Classification())


def campaign(place: Path, workload: Workload | None = None, **settings) -> str:
    base = (
        {"mode": "random", "trials": 40, "flips": (1, 2), "bits": "23-30"}
        if "mode" not in settings
        else {}
    )
    config = CampaignConfig(**{**base, **settings}, out=str(place))
    run_campaign(config, workload or work())
    return str(place)


def failed(place: str, flips: int) -> list[float]:
    lines = map(json.loads, (Path(place) / "trials-0.jsonl").read_text().splitlines())
    return [(one["sdc"] + one["due"]) / one["n"] for one in lines if one["flips"] == flips]


@pytest.fixture
def both(tmp_path) -> tuple[str, str]:
    return campaign(tmp_path / "a"), campaign(tmp_path / "b", work(Guarded))


def test_pairs_are_counted_and_their_difference_is_that_of_the_means(both):
    found = faultsim.compare(*both)
    assert found.paired
    for change in (c for c in found.changes if c.rate == "failure"):
        was, now = (failed(place, change.cell["flips"]) for place in both)
        pairs = list(zip(was, now, strict=True))
        mean = (sum(now) - sum(was)) / len(was)
        assert change.difference.value == pytest.approx(mean)
        assert change.difference.low <= mean <= change.difference.high
        assert change.removed == sum(a > 0 and not b for a, b in pairs) > 0
        assert change.introduced == sum(b > 0 and not a for a, b in pairs)
        assert change.left == sum(a > 0 and b > 0 for a, b in pairs)
    assert {change.rate for change in found.changes} >= {"failure", "sdc", "due"}


def test_the_other_way_round_it_is_the_negative(both):
    there, back = faultsim.compare(*both), faultsim.compare(*both[::-1])
    for one, other in zip(there.changes, back.changes, strict=True):
        assert one.difference.low == pytest.approx(-other.difference.high)
        assert one.difference.high == pytest.approx(-other.difference.low)
        assert (one.removed, one.introduced) == (other.introduced, other.removed)


def test_a_campaign_differs_from_itself_by_nothing_that_was_seen(tmp_path):
    result = run_campaign(
        CampaignConfig(mode="random", trials=30, flips=(1,), out=str(tmp_path / "a")), work()
    )
    for change in faultsim.compare(result, result).changes:
        ends = change.difference
        assert ends.value == 0 == change.removed == change.introduced
        assert ends.low < 0 < ends.high


def test_other_faults_are_two_samples_and_the_interval_is_wider(both, tmp_path):
    found = faultsim.compare(both[0], campaign(tmp_path / "c", work(Guarded), seed=5))
    assert not found.paired
    assert "trial 0 struck other faults" in found.why
    assert all(change.removed is None for change in found.changes)
    paired = faultsim.compare(*both)
    for two, pair in zip(found.changes, paired.changes, strict=True):
        assert two.difference.low <= two.second.value - two.first.value <= two.difference.high
        if two.rate == "failure":
            wide, narrow = two.difference, pair.difference
            assert wide.high - wide.low > narrow.high - narrow.low


def test_exhaustive_campaigns_have_no_interval(tmp_path):
    settings = {"mode": "exhaustive", "bits": "30"}
    places = [
        campaign(tmp_path / kind.__name__, work(kind), **settings)
        for kind in (nn.Sequential, Guarded)
    ]
    found = faultsim.compare(*places)
    assert found.paired
    assert all(change.difference.low is None for change in found.changes)
    assert next(c for c in found.changes if c.rate == "failure").difference.value < 0


def test_estimates_are_compared_by_their_own_intervals(tmp_path):
    places = [
        campaign(tmp_path / kind.__name__, work(kind), **ESTIMATE)
        for kind in (nn.Sequential, Guarded)
    ]
    found = faultsim.compare(*places)
    (change,) = found.changes
    assert not found.paired
    assert found.confidence == pytest.approx(0.9)
    assert change.difference.low == change.second.low - change.first.high
    assert change.difference.high == change.second.high - change.first.low
    with pytest.raises(ConfigError, match="--confidence does not go with estimates"):
        faultsim.compare(*places, confidence=0.99)


@pytest.mark.parametrize(
    ("other", "settings", "words"),
    [
        ({}, {"bits": "mantissa"}, "bits = 23-30"),
        ({"hidden": 5}, {}, "strike other populations.*--include.*faultsim protect"),
        ({"shift": 1.0}, {}, "other data"),
        ({}, {"flips": (1, 2, 3)}, "only one of the campaigns has trials of"),
        ({}, ESTIMATE, "campaigns of one mode"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(tmp_path, other, settings, words):
    first = campaign(tmp_path / "a")
    second = campaign(tmp_path / "b", work(**other), **settings)
    with pytest.raises(ConfigError, match=words) as told:
        faultsim.compare(first, second)
    assert "\n" not in str(told.value)


def test_what_is_no_finished_campaign_is_refused(both, tmp_path):
    with pytest.raises(FaultSimError, match="holds no campaign"):
        faultsim.compare(both[0], tmp_path / "none")
    (Path(both[1]) / "summary.json").unlink()
    with pytest.raises(ConfigError, match="has not ended"):
        faultsim.compare(*both)


def test_the_command_prints_a_table(both, capsys):
    assert main(["compare", *both]) == 0
    said = capsys.readouterr().out
    assert "Paired" in said
    assert "introduced" in said
    assert main(["compare", both[0], "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
