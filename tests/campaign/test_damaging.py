"""Which trials count as the most damaging, and what is said of them."""

from __future__ import annotations

import json

import pytest

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign.damaging import damaging
from faultsim.campaign.lines import Line, Struck
from faultsim.faults import Site

GAIN = Site("gain", "weights", "float32", (4,))


def line(trial: int, acc: float, *faults: tuple[int, int], **cell) -> Line:
    """A journal line; a fault is an index and a bit."""
    records = [Struck(tensor="gain", index=i, mask=1 << bit, op="flip") for i, bit in faults]
    counts = dict.fromkeys(("correct", "due", "sdc", "benign", "masked"), 0)
    return Line(
        trial=trial, cell=cell, seed=0, flips=len(records), faults=records, n=0, **counts,
        loss=0.0, max_dev=0.0, acc=acc, auc=None,
    )  # fmt: skip


def test_lowest_accuracy_first_and_ties_by_number(model):
    lines = [line(n, acc) for n, acc in enumerate([0.5, 0.25, 0.5, 0.75, 0.25])]
    found = damaging(lines, 0.75, model, [GAIN])
    assert [record["trial"] for record in found] == [1, 4, 0, 2]  # 3 does no harm
    assert list(found[0]) == ["trial", "cell", "acc", "faults"]


def test_search_trials_are_left_out_and_their_results_are_not(model):
    lines = [line(0, 0.1, curve="worst-case", search="probe"), line(1, 0.2, curve="worst-case")]
    assert [record["trial"] for record in damaging(lines, 0.9, model, [GAIN])] == [1]


def test_at_most_twenty_trials_of_twenty_faults(model):
    faults = [(number % 4, number // 4) for number in range(30)]
    found = damaging([line(n, 0.1, *faults) for n in range(30)], 0.9, model, [GAIN])
    assert [record["trial"] for record in found] == list(range(20))
    assert {len(record["faults"]) for record in found} == {20}


def test_weights_have_values_before_and_after(model):
    (found,) = damaging([line(0, 0.1, (2, 31))], 0.9, model, [GAIN])
    assert found["faults"] == ["gain[2] bit 31 (sign) flip: 1 → -1"]


def test_the_faults_that_changed_most_come_first(model):
    (found,) = damaging([line(0, 0.1, (0, 0), (1, 31), (2, 30), (3, 22))], 0.9, model, [GAIN])
    assert [fault[:7] for fault in found["faults"]] == ["gain[2]", "gain[1]", "gain[3]", "gain[0]"]


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_campaign_writes_them_into_its_summary(target, model, dataset, tmp_path):
    config = CampaignConfig(
        mode="random", target=target, bits="30", flips=(20,), trials=8, out=str(tmp_path)
    )
    run_campaign(config, model=model, data=dataset)
    summary, manifest = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("summary", "manifest")
    )
    assert summary["damaging"]
    golden = manifest["golden"]["acc"]
    for record in summary["damaging"]:
        assert record["acc"] < golden
        assert len(record["faults"]) == 20
        assert all((" → " in fault) == (target == "weights") for fault in record["faults"])


def test_the_manifest_lists_the_sites_in_the_order_of_the_model(model, dataset, tmp_path):
    config = CampaignConfig(mode="random", flips=(1,), trials=1, out=str(tmp_path))
    run_campaign(config, model=model, data=dataset)
    sites = json.loads((tmp_path / "manifest.json").read_text())["space"]["sites"]
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in sites))
    assert layers == ["", "conv", "norm", "head"]
    assert set(sites.values()) == {"float32"}
