"""The atlas: rates from journals made by hand, and protections beside bare models."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Workload, run_campaign, tasks
from faultsim.campaign.protecting import compare_protections
from faultsim.cli.main import main
from faultsim.errors import ConfigError
from faultsim.report.atlas import overview, write_atlas
from faultsim.report.paying import OWN, SAME, which_pays
from faultsim.report.sources import read_sources


class Deep(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def subject() -> Workload:
    torch.manual_seed(0)
    batches = (torch.randn(8, 4), torch.arange(8) % 3)
    return Workload(Deep().eval(), batches, tasks.Classification())


def campaign(place, **settings) -> None:
    told = {"trials": 20, "flips": (1,)} | settings
    run_campaign(CampaignConfig(**told, out=str(place)), subject())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    campaign(root / "random", mode="random")
    campaign(root / "bits", mode="bit-wise", trials=2, bits="28-31")
    campaign(root / "part", mode="exhaustive", trials=None, bits="30", include=("2.bias",))
    return root


def test_the_page_has_what_was_recorded(recorded, tmp_path, capsys):
    out = tmp_path / "atlas.html"
    assert main(["atlas", str(recorded), "--out", str(out)]) == 0
    text = out.read_text()
    assert str(out) in capsys.readouterr().out.replace("\n", "")
    assert "1 model, 3 campaigns" in text
    assert "Failure rates by bit" in text
    assert "<script src" not in text
    ids = [part.partition('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))


def test_the_rate_of_one_fault_is_that_of_whole_targets(recorded):
    runs = read_sources([recorded]).campaigns
    (row,) = overview({"deep": runs}).rows
    (random,) = [run for run in runs if run.mode == "random"]
    failed = sum(line.sdc + line.due for line in random.lines) / sum(one.n for one in random.lines)
    assert row["one fault fails"].startswith(f"{failed:.2%}")
    assert row["trials"] == sum(len(run.lines) for run in runs)
    parts = [run for run in runs if run.mode == "exhaustive"]
    assert overview({"deep": parts}).rows[0]["one fault fails"] is None


def test_a_fault_that_was_tried_on_one_sample_is_not_the_worst(recorded, tmp_path):
    campaign(tmp_path, mode="random", granularity="inference", bits="30", trials=40)
    (single,) = read_sources([tmp_path]).campaigns
    assert min(float(record.score) for record in single.summary.damaging) == 0
    whole = read_sources([recorded]).campaigns
    (row,), (alone,) = overview({"deep": whole}).rows, overview({"deep": [single]}).rows
    assert alone["worst flip"] is None
    assert overview({"deep": [single, *whole]}).rows[0]["worst flip"] == row["worst flip"]


def test_a_protection_is_judged_by_the_interval_of_the_change(tmp_path):
    for name, protect in (("bare", None), ("secded", "secded")):
        campaign(tmp_path / name, mode="random", trials=60, protect=protect)
    table = which_pays(read_sources([tmp_path]).campaigns)
    assert {row["protection"] for row in table.rows} == {"secded"}
    assert {row["faults"] for row in table.rows} == {OWN}
    for row in table.rows:
        low, high = map(float, re.findall(r"\[(.*) to (.*)\]", row["change in points"])[0])
        assert low <= high
        assert row["pays"] == ("yes" if high < 0 else "not shown")
    assert table.rows


def test_a_comparison_on_the_same_faults_is_paired(tmp_path, recorded):
    config = CampaignConfig(
        mode="random", bits="exponent", flips=(2,), trials=40, out=str(tmp_path / "compared")
    )
    (paid,) = compare_protections(config, ["secded"], subject())
    sources = read_sources([recorded, tmp_path])
    rows = which_pays(sources.campaigns, sources.protections).rows
    told = {change.rate: change for change in paid.changes}
    for row, change in zip(rows, (told["failure"], told["sdc"]), strict=True):
        assert (row["faults"], row["bare"]) == (SAME, str(change.first))
        assert row["change in points"].startswith(f"{100 * change.difference.value:+.2f}")
    text = write_atlas([recorded, tmp_path], tmp_path / "atlas.html").read_text()
    assert "Which protection pays" in text
    assert 'href="#protections"' in text


def test_an_atlas_needs_a_campaign(tmp_path):
    with pytest.raises(ConfigError):
        write_atlas([tmp_path])
