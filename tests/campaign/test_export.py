"""Exported tables are what was recorded, and other programs read them."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Workload, run_campaign, tasks
from faultsim.campaign.exporting import export
from faultsim.cli.main import main
from faultsim.errors import ConfigError


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("runs") / "c"
    work = Workload(
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)),
        (torch.randn(8, 4), torch.arange(8) % 3),
        tasks.Classification(),
    )
    run_campaign(
        CampaignConfig(mode="layer-wise", trials=5, flips=(3,), bits="30", out=str(out)), work
    )
    return out


def lines(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "trials-0.jsonl").read_text().splitlines()]


def test_csv_has_every_trial_and_fault(place, tmp_path, capsys):
    assert main(["export", str(place), "--out", str(tmp_path)]) == 0
    assert [Path(p).name for p in capsys.readouterr().out.split()] == [
        "trials.csv", "faults.csv", "rates.csv",
    ]  # fmt: skip
    with (tmp_path / "trials.csv").open() as file:
        trials = list(csv.DictReader(file))
    with (tmp_path / "faults.csv").open() as file:
        faults = list(csv.DictReader(file))
    recorded = lines(place)
    assert [int(row["sdc"]) for row in trials] == [line["sdc"] for line in recorded]
    assert [float(row["loss"]) for row in trials] == [float(line["loss"]) for line in recorded]
    told = [(line["trial"], f["tensor"], f["index"]) for line in recorded for f in line["faults"]]
    assert [
        (int(row["trial"]), row["fault_tensor"], int(row["fault_index"])) for row in faults
    ] == told


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_duckdb_reads_and_joins_them(place, tmp_path, form):
    duckdb = pytest.importorskip("duckdb")
    if form == "parquet":
        pytest.importorskip("pyarrow")
    export(place, tmp_path, form)
    found = duckdb.sql(
        f"SELECT layer, avg(sdc / n), count(*) FROM '{tmp_path}/trials.{form}' "
        f"JOIN '{tmp_path}/faults.{form}' USING (trial) WHERE fault_layer = layer "
        "GROUP BY layer ORDER BY layer"
    ).fetchall()
    by_layer: dict[str, list[float]] = {}
    for line in lines(place):
        shares = by_layer.setdefault(line["cell"]["layer"], [])
        shares += [line["sdc"] / line["n"]] * len(line["faults"])
    wanted = [(layer, sum(s) / len(s), len(s)) for layer, s in sorted(by_layer.items())]
    assert [(str(a), b, c) for a, b, c in found] == [
        (layer, pytest.approx(mean), count) for layer, mean, count in wanted
    ]


def test_parquet_keeps_types(place, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export(place, tmp_path, "parquet")
    schema = parquet.read_schema(tmp_path / "trials.parquet")
    assert str(schema.field("sdc").type) == "int64"
    assert str(schema.field("acc").type) == "double"
    faults = parquet.read_table(tmp_path / "faults.parquet").to_pydict()
    assert faults["fault_bit"] == [30] * len(faults["trial"])


def test_r_reads_them(place, tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("there is no R")
    export(place, tmp_path)
    code = f'cat(mean(read.csv("{tmp_path}/trials.csv")$acc))'
    told = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    accs = [line["acc"] for line in lines(place)]
    assert float(told.stdout) == pytest.approx(sum(accs) / len(accs), rel=1e-5)


def test_without_pyarrow_one_line_says_what_to_do(place, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'faultsim\[export\]'"):
        export(place, tmp_path, "parquet")
    with pytest.raises(ConfigError, match="did you mean 'csv'"):
        export(place, tmp_path, "CSV")
