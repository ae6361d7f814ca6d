"""Results in Python: read from a directory, as a frame, as figures, with their layers ranked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import faultsim
from faultsim import CampaignConfig, Workload, load_result, run_campaign, tasks
from faultsim.errors import ConfigError, JournalError
from faultsim.report.labels import model_and_data
from faultsim.report.reading import read_campaign


class Called(nn.Linear):
    """Counts how often one is made."""

    made = 0

    def __init__(self) -> None:
        super().__init__(4, 3)
        Called.made += 1


def work() -> Workload:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
    return Workload(
        model,
        (rows, torch.arange(10) % 3),
        tasks.Classification(),
        search=(rows, torch.arange(10) % 3),
    )


def campaign(place: Path, **settings) -> faultsim.campaign.CampaignResult:
    base = {"mode": "layer-wise", "trials": 6, "bits": "23-30"} | settings
    return run_campaign(CampaignConfig(**base, out=str(place)), work())


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    return campaign(tmp_path_factory.mktemp("runs") / "layers", flips=(2,))


def told(outcome) -> dict:
    return {name: value for name, value in outcome.to_json().items() if value is not None}


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "random", "flips": (1, 2)},
        {"mode": "layer-wise"},
        {"mode": "bit-wise", "trials": 1},
        {"mode": "exhaustive", "bits": "30"},
        {"mode": "estimate", "margin": 0.3, "max_trials": 40, "trials": None},
        {"mode": "worst-case", "flips": (1,), "trials": 2, "granularity": "dataset"},
        {"mode": "random", "flips": (1,), "granularity": "inference"},
    ],
    ids=lambda s: "-".join(map(str, s.values())),
)
def test_a_result_that_was_read_is_the_one_that_ended(tmp_path, settings):
    ended = campaign(tmp_path / "c", **settings)
    read = load_result(tmp_path / "c")
    assert told(read.golden) == told(ended.golden)
    for name in ("objective", "estimate", "reached", "directions", "finished"):
        assert getattr(read, name) == getattr(ended, name), name
    assert [cell.to_json() for cell in read.cells] == [cell.to_json() for cell in ended.cells]
    assert dict(read.worst) == dict(ended.worst)
    assert [(dict(c), str(e)) for c, e in read.parts] == [(dict(c), str(e)) for c, e in ended.parts]
    assert repr(read) == repr(ended)
    assert len(repr(read)) < 300
    for cell in read.cells:
        assert repr(cell).endswith(f"SDC {cell.rates['sdc']}, DUE {cell.rates['due']})")


def test_an_unfinished_one_says_so(tmp_path):
    campaign(tmp_path / "c", mode="random", trials=5, flips=(1,))
    (tmp_path / "c" / "summary.json").unlink()
    lines = (tmp_path / "c" / "trials-0.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "c" / "trials-0.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:20])
    result = load_result(tmp_path / "c")
    assert not result.finished
    assert "unfinished: 3 of 5 trials so far" in repr(result)
    assert "unfinished" in result.rates().note
    assert result.cells[0].trials == 3


def test_nothing_that_a_manifest_names_is_called(tmp_path, monkeypatch):
    campaign(tmp_path / "c", mode="random")
    path = tmp_path / "c" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"] |= {"model": f"{__name__}:Called", "data": f"{__name__}:Called"}
    manifest["live"] = []
    path.write_text(json.dumps(manifest))
    load_result(tmp_path / "c")
    assert not Called.made


def test_a_directory_without_a_campaign_is_refused(tmp_path):
    with pytest.raises(JournalError, match="holds no campaign"):
        load_result(tmp_path)


def test_a_frame_has_a_row_for_each_trial_and_one_for_each_fault(layers):
    pytest.importorskip("pandas")
    lines = [
        json.loads(line) for line in (layers.directory / "trials-0.jsonl").read_text().splitlines()
    ]
    frame = layers.frame()
    assert len(frame) == len(lines)
    for name in ("trial", "due", "sdc", "benign", "masked", "n", "flips"):
        assert frame[name].tolist() == [line[name] for line in lines]
        assert frame[name].dtype == "int64"
    assert frame["layer"].tolist() == [line["cell"]["layer"] for line in lines]
    assert frame["acc"].tolist() == [line["acc"] for line in lines]
    faults = layers.frame(faults=True)
    recorded = [(line["trial"], f["tensor"], f["mask"]) for line in lines for f in line["faults"]]
    columns = (faults[name] for name in ("trial", "fault_tensor", "fault_mask"))
    assert list(zip(*columns, strict=True)) == recorded
    assert (faults["fault_layer"] == faults["layer"]).all()
    assert [1 << bit for bit in faults["fault_bit"]] == faults["fault_mask"].tolist()


def test_trials_without_faults_keep_their_row(tmp_path):
    pytest.importorskip("pandas")
    result = campaign(tmp_path / "c", mode="random", ber=0.0008, bits="all", trials=12)
    trials, faults = result.frame(), result.frame(faults=True)
    assert (trials["flips"] == 0).any()
    assert faults["trial"].unique().tolist() == trials["trial"].tolist()
    bare = faults[faults["flips"] == 0]
    assert bare["fault_tensor"].isna().all()


def test_rates_are_those_of_the_cells(layers):
    table = layers.rates()
    for cell in layers.cells:
        (row,) = table.where(measure="sdc", layer=cell.cell["layer"]).rows
        rate = cell.rates["sdc"]
        assert (row["value"], row["low"], row["high"]) == (rate.value, rate.low, rate.high)
    assert table.csv().startswith("layer,flips,measure,value,low,high,trials,interval\n")


def test_the_reports_figures_are_matplotlibs(layers):
    figures = layers.plot()
    assert {"outcomes", "layers"} <= set(figures)
    assert layers.plot("layers").axes
    assert figures._repr_html_().count("<svg") == len(figures)
    with pytest.raises(ConfigError, match="no figure 'layer': did you mean 'layers'"):
        layers.plot("layer")


def test_a_result_without_figures_says_so(tmp_path):
    settings = {"mode": "estimate", "margin": 0.3, "max_trials": 40, "trials": None}
    result = campaign(tmp_path / "c", **settings)
    assert repr(result.plot()) == "Figures(no figures of this campaign)"
    assert result.plot()._repr_html_() == "<p>no figures of this campaign</p>"
    with pytest.raises(ConfigError, match="no figure 'layers'; it has none"):
        result.plot("layers")


def test_layers_are_ranked_by_their_mean_harm(layers):
    table = layers.worst_layers()
    harms = [row["harm"] for row in table.rows]
    assert harms == sorted(harms, reverse=True)
    by_layer = {
        cell.cell["layer"]: layers.golden.acc - cell.accuracy.value for cell in layers.cells
    }
    assert {row["layer"]: row["harm"] for row in table.rows} == pytest.approx(by_layer)
    assert "noise" in table.note
    assert len(layers.worst_layers(1)) == 1


def test_what_struck_several_layers_at_once_ranks_none(tmp_path):
    result = campaign(tmp_path / "c", mode="random", flips=(4,), trials=2)
    with pytest.raises(ConfigError, match="--mode layer-wise does"):
        result.worst_layers()


def test_a_live_model_has_the_name_it_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = CampaignConfig(mode="random", trials=2)
    data = [(torch.randn(10, 1, 4, 4), torch.arange(10) % 3)]
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    result = run_campaign(config, model=model, data=data[0], name="My net")
    assert result.directory.name.startswith("random-My-net-")
    assert model_and_data(read_campaign(result.directory)).startswith("My net on ")
    with pytest.raises(ConfigError, match="a Workload has a name of its own"):
        run_campaign(config, work(), name="My net")


def test_a_comparison_is_a_table(layers, tmp_path):
    other = campaign(tmp_path / "c", flips=(2,))
    found = faultsim.compare(layers, other)
    assert found.paired
    assert "difference" in repr(found)
    assert all(row["difference"] == 0 for row in found.table().rows)
    assert found._repr_html_().startswith("<table>")
