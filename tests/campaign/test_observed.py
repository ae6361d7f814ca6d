"""Campaigns that record where errors travel."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from faultsim import (
    CampaignConfig,
    Fault,
    FaultSet,
    FaultSimError,
    FaultSpace,
    Workload,
    observe,
    run_campaign,
)
from faultsim.campaign.observed import OBSERVED, read_observed
from faultsim.errors import JournalError

TRIALS = "trials-0.jsonl"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.act(self.first(x)) - 0.1)
        if bool((x > 1e30).any()):
            raise ValueError("too large")
        return self.last(x)


@pytest.fixture
def work() -> Workload:
    torch.manual_seed(0)
    batches = [torch.randn(n, 4, generator=torch.Generator().manual_seed(n)) for n in (4, 4, 3)]
    return Workload(Net(), batches, lambda g, f, b: (g - f).abs().amax(1) > 0.1)


@pytest.fixture
def run(tmp_path, work):
    def go(name: str, **settings):
        usual = {"mode": "random", "trials": 6, "flips": (1,), "bits": "30", "observe": True}
        config = CampaignConfig(**usual | {"out": str(tmp_path / name)} | settings)
        return run_campaign(config, work).directory

    return go


def lines(directory, name=OBSERVED) -> list[dict]:
    return [json.loads(line) for line in (directory / name).read_text().splitlines()]


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_the_journal_is_the_same_observed_or_not_replayed_or_not(run, target):
    plain = run("plain", target=target, observe=False)
    seen, whole = run("seen", target=target), run("whole", target=target, replay=False)
    for other in (seen, whole):
        assert (other / TRIALS).read_bytes() == (plain / TRIALS).read_bytes()
    assert (seen / OBSERVED).read_bytes() == (whole / OBSERVED).read_bytes()
    assert not (plain / OBSERVED).exists()
    assert not json.loads((plain / "manifest.json").read_text())["config"]["observe"]


def test_lines_are_means_over_the_samples_of_all_batches(run, work):
    directory = run("seen")
    whole = json.loads((directory / "manifest.json").read_text())["observed"]
    assert whole == dict.fromkeys(["first", "act", "act@1", "last"], 11)
    space, model = FaultSpace(work.model, bits="30"), work.model
    for trial, line in enumerate(lines(directory)):
        assert line["trial"] == trial
        faults = space.sample(1, seed=0, trial=trial)
        parts = [observe(model, faults, batch.inputs).sites for batch in work.read("test")]
        found = {site["site"]: site for site in line["sites"]}
        for name in whole:
            changed = torch.cat([part[name].changed for part in parts])
            if name not in found:
                assert len(changed) == 11
                assert not changed.any()
                continue
            site = found[name]
            assert (site["n"], site["touched"]) == (len(changed), int((changed > 0).sum()))
            if len(changed):
                assert site["changed"] == pytest.approx(float(changed.mean()), rel=1e-5)
                relative = torch.cat([part[name].relative for part in parts])
                relative = relative[~relative.isnan()]
                assert site["deviation"] == pytest.approx(float(relative.mean()), rel=1e-5)


def test_what_a_raising_pass_did_not_reach_is_told(run):
    directory = run("seen", mode="exhaustive", include=("first.bias",), trials=None)
    raised = [line["raised"] for line in lines(directory, TRIALS) if line.get("raised")]
    assert raised
    short = [
        site
        for line in lines(directory)
        for site in line["sites"]
        if site["site"] == "last" and site["n"] < 11
    ]
    assert len(short) == len(raised)


def test_faults_in_one_sample_of_a_later_batch_are_seen_there(work, tmp_path):
    space = FaultSpace(work.model, "activations", inputs=work.read("test")[0].inputs)
    first = next(site for site in space.sites if site.name == "first")
    config = CampaignConfig(mode="random", observe=True, out=str(tmp_path / "a"))
    faults = FaultSet.of(Fault(first, 0, bit=31, sample=5))
    (line,) = lines(run_campaign(config, work, trials=[faults]).directory)
    assert (line["sites"][0]["site"], line["sites"][0]["touched"]) == ("first", 1)
    assert line["sites"][0]["changed"] == pytest.approx(1 / 6 / 11, rel=1e-5)


@pytest.mark.parametrize("kept", [0, 1, 3])
@pytest.mark.parametrize("behind", [False, True])
def test_a_resumed_campaign_gives_the_same_bytes(run, kept, behind):
    """The journal has trials that were not observed yet, or the other way; both end torn."""
    whole = run("whole")
    torn = run("torn")
    for name, number in ((TRIALS, kept), (OBSERVED, max(0, kept - 1) if behind else kept + 1)):
        text = (whole / name).read_bytes().splitlines(keepends=True)
        (torn / name).write_bytes(b"".join(text[:number]) + text[number][:7])
    (torn / "summary.json").unlink()
    run("torn", resume=True)
    for name in (TRIALS, OBSERVED, "summary.json"):
        assert (torn / name).read_bytes() == (whole / name).read_bytes()


def test_a_campaign_that_is_given_more_trials_observes_them_all(run):
    whole = run("whole", flips=(1, 2), trials=4)
    grown = run("grown", flips=(1, 2), trials=2)
    run("grown", flips=(1, 2), trials=4, resume=True)
    for name in (TRIALS, OBSERVED):
        assert (grown / name).read_bytes() == (whole / name).read_bytes()


def test_it_cannot_go_on_observed_where_it_was_not(run):
    run("a", observe=False)
    with pytest.raises(FaultSimError, match="observe"):
        run("a", resume=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense\n", "line 1 of .* is damaged"),
        ('{"trial":99,"sites":[]}\n', "tells of trial 99"),
        ('{"trial":0,"sites":[{"site":"a","n":1,"touched":1,"changed":2.0}]}\n', "damaged"),
    ],
)
def test_a_damaged_file_is_named(run, text, message):
    directory = run("a")
    (directory / OBSERVED).write_text(text)
    with pytest.raises(JournalError, match=message):
        read_observed(directory, 6)


def test_trials_of_a_search_are_not_observed(run, model, dataset, tmp_path):
    config = CampaignConfig(
        mode="worst-case", flips=(1,), trials=2, include=("head",), observe=True,
        out=str(tmp_path / "w"),
    )  # fmt: skip
    directory = run_campaign(config, model=model, data=dataset).directory
    reported = [
        n for n, line in enumerate(lines(directory, TRIALS)) if "search" not in line["cell"]
    ]
    assert [line["trial"] for line in lines(directory)] == reported
    assert len(reported) < len(lines(directory, TRIALS))


def test_attacks_on_the_faulty_model_are_observed_on_their_images(model, dataset, tmp_path):
    config = CampaignConfig(
        mode="random", flips=(4,), trials=2, observe=True, perturb="fgsm:eps=1/255",
        attack_model="faulty", out=str(tmp_path / "p"),
    )  # fmt: skip
    directory = run_campaign(config, model=model, data=dataset).directory
    assert [line["trial"] for line in lines(directory)] == [0, 1]
