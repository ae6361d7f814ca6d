"""Fault sets saved and loaded, and made of columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Fault, FaultSet, FaultSpace, Workload, run_campaign, tasks
from faultsim.errors import FaultError


@pytest.fixture(scope="module")
def space() -> FaultSpace:
    return FaultSpace(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3).half()))


def mixed(space: FaultSpace) -> FaultSet:
    weight, *_, bias = space.sites
    return FaultSet.of(
        [
            Fault(weight, 3, bit=(1, 30)),
            Fault(weight, 4, op="scale", operand=-2.5),
            Fault(weight, 5, op="replace", operand=0xFFFF0000),
            Fault(weight, 6, op="random", random=-7),
            Fault(bias, 1, bit=15, op="stuck-at-1"),
        ]
    )


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_set_comes_back_whole(space, tmp_path, suffix):
    for number, faults in enumerate([mixed(space), space.sample(50, seed=1), FaultSet.of([])]):
        path = tmp_path / f"{number}{suffix}"
        faults.save(path)
        assert FaultSet.load(path) == faults
        assert FaultSet.load(path, space) == faults


def test_states_and_activations_come_back_with_sample_and_step(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    space = FaultSpace(model, "activations", inputs=torch.randn(3, 1, 5, 5))
    faults = FaultSet.of([Fault(space.sites[0], (1, 2, 0), bit=30, sample=2)])
    faults.save(tmp_path / "f.npz")
    assert FaultSet.load(tmp_path / "f.npz", space) == faults


def test_another_model_is_refused(space, tmp_path):
    mixed(space).save(tmp_path / "f.npz")
    other = FaultSpace(nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3).half()))
    with pytest.raises(FaultError, match=r"f\.npz.*'0\.weight' is weights.*in this model"):
        FaultSet.load(tmp_path / "f.npz", other)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"index": np.array([99999] * 5)}, "out of range|no element|index"),
        ({"mask": np.array([1.5] * 5)}, "whole numbers"),
        ({"op": np.array([7] * 5)}, "op runs from 0"),
        ({"mask": np.array([1] * 4)}, "shape"),
        ({"site": np.array([5] * 5)}, "site is out of range"),
        ({"header": np.frombuffer(b"{}", np.uint8)}, "missing"),
        ({"sample": None}, "lacks sample"),
    ],
)
def test_a_damaged_file_is_one_line(space, tmp_path, change, says):
    path = tmp_path / "f.npz"
    mixed(space).save(path)
    with np.load(path) as file:
        arrays = {**file, **change}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(FaultError, match=says) as caught:
        FaultSet.load(path)
    assert str(path) in str(caught.value)
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(FaultError, match="cannot read"):
        FaultSet.load(path)


def test_other_suffixes_are_refused(space, tmp_path):
    with pytest.raises(FaultError, match=r"ends in \.json or \.npz"):
        mixed(space).save(tmp_path / "f.txt")


def test_columns_make_the_set_that_faults_make(space):
    names = ["0.weight", "1.bias", "0.weight"]
    made = FaultSet.from_arrays(names, [3, 1, 4], bit=[30, 15, 1], sites=space)
    sites = {site.name: site for site in space.sites}
    rows = zip(names, [3, 1, 4], [30, 15, 1], strict=True)
    assert made == FaultSet.of([Fault(sites[n], i, bit=b) for n, i, b in rows])
    one = FaultSet.from_arrays("0.weight", np.arange(3), mask=-1, sites=space.sites)
    assert [fault.bits for fault in one] == [tuple(range(32))] * 3
    scaled = FaultSet.from_arrays("0.bias", [2], op="scale", operand=3.0, sites=space)
    assert scaled == FaultSet.of([Fault(sites["0.bias"], 2, op="scale", operand=3.0)])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"names": ["0.wieght"]}, "'0.wieght' is none of the 4 sites: did you mean '0.weight'"),
        ({"bit": 16, "names": "1.bias"}, "bit 16 is none of 16"),
        ({"bit": 1, "mask": 2}, "not by both"),
        ({"bit": [1, 2]}, "shape"),
        ({"mask": 0.5}, "whole numbers"),
        ({"index": [24]}, "24"),
    ],
)
def test_columns_that_do_not_fit_are_refused(space, columns, says):
    given = {"names": ["0.weight"], "index": [0]} | columns
    with pytest.raises(FaultError, match=says):
        FaultSet.from_arrays(given.pop("names"), given.pop("index"), **given, sites=space)


def test_a_campaign_reads_an_archive(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    faults = FaultSpace(model).sample(3, seed=4)
    faults.save(tmp_path / "f.npz")
    config = CampaignConfig(
        mode="from-file", faults=str(tmp_path / "f.npz"), out=str(tmp_path / "c")
    )
    work = Workload(model, (torch.randn(5, 4), torch.arange(5) % 3), tasks.Classification())
    result = run_campaign(config, work)
    (line,) = result.recorded.lines
    struck = [(fault.tensor, fault.index, fault.mask) for fault in line.faults]
    assert struck == [(fault.tensor, fault.index, fault.mask) for fault in faults]
