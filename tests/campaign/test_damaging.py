"""Which trials count as the most damaging, and what is said of them."""

from __future__ import annotations

import json

import pytest

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign.damaging import damaging
from faultsim.faults import Site

GAIN = Site("gain", "weights", "float32", (4,))


def line(trial: int, acc: float, faults: int = 1, **cell) -> dict:
    records = [
        {"tensor": "gain", "index": number % 4, "mask": 1 << number // 4, "op": "flip"}
        for number in range(faults)
    ]
    return {"trial": trial, "cell": cell, "acc": acc, "faults": records}


def test_lowest_accuracy_first_and_ties_by_number(model):
    lines = [line(n, acc) for n, acc in enumerate([0.5, 0.25, 0.5, 0.75, 0.25])]
    found = damaging(lines, 0.75, model, [GAIN])
    assert [record["trial"] for record in found] == [1, 4, 0, 2]  # 3 does no harm
    assert list(found[0]) == ["trial", "cell", "acc", "faults"]


def test_search_trials_are_left_out_and_their_results_are_not(model):
    lines = [line(0, 0.1, curve="worst-case", search="probe"), line(1, 0.2, curve="worst-case")]
    assert [record["trial"] for record in damaging(lines, 0.9, model, [GAIN])] == [1]


def test_at_most_twenty_trials_of_twenty_faults(model):
    found = damaging([line(n, 0.1, faults=30) for n in range(30)], 0.9, model, [GAIN])
    assert [record["trial"] for record in found] == list(range(20))
    assert {len(record["faults"]) for record in found} == {20}


def test_weights_have_values_before_and_after(model):
    record = {"tensor": "gain", "index": 2, "mask": 1 << 31, "op": "flip"}
    (found,) = damaging([{**line(0, 0.1), "faults": [record]}], 0.9, model, [GAIN])
    assert found["faults"] == ["gain[2] bit 31 (sign) flip: 1 → -1"]


def test_the_faults_that_changed_most_come_first(model):
    records = [
        {"tensor": "gain", "index": index, "mask": 1 << bit, "op": "flip"}
        for index, bit in ((0, 0), (1, 31), (2, 30), (3, 22))
    ]
    (found,) = damaging([{**line(0, 0.1), "faults": records}], 0.9, model, [GAIN])
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
