"""The fault space: what is in it, and that sampling it is uniform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from faultsim import FaultSpace
from faultsim.errors import FaultError, FormatError


class Mixed(nn.Module):
    """Raw parameter, tied weight, float and integer buffers, two dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.ones(3, 2))
        self.first = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.first.weight
        self.narrow = nn.Parameter(torch.ones(5, dtype=torch.float16))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("steps", torch.zeros(3, dtype=torch.int64))
        self.register_buffer("mask", torch.zeros(3, dtype=torch.bool))


WORDS = {"raw": 6, "narrow": 5, "first.weight": 16, "first.bias": 4, "tied.bias": 4, "mean": 2}


def test_parameters_and_float_buffers_count_once():
    space = FaultSpace(Mixed())
    assert {site.name: site.numel for site in space.sites} == WORDS
    assert len(space) == 32 * (6 + 16 + 4 + 4 + 2) + 16 * 5


def test_integers_on_request_and_skipped_dtypes_named():
    space = FaultSpace(Mixed(), integers=True)
    assert "steps" in {site.name for site in space.sites}
    assert "mask" in space.skipped


def test_views_of_one_storage_count_once():
    model = nn.Module()
    model.big = nn.Parameter(torch.zeros(4, 4))
    model.small = nn.Parameter(model.big.data[1:3])
    model.turned = nn.Parameter(model.big.data.t())
    assert [site.name for site in FaultSpace(model).sites] == ["big"]


def test_partly_shared_memory_is_struck_once_and_named():
    base = torch.zeros(10)
    model = nn.Module()
    model.a, model.b = nn.Parameter(base[:6]), nn.Parameter(base[4:9])
    space = FaultSpace(model)
    assert [site.name for site in space.sites] == ["a"]
    assert space.skipped == {"b": "it shares a part of its memory with a"}


def test_include_and_exclude():
    def names(**patterns):
        return {site.name for site in FaultSpace(Mixed(), **patterns).sites}

    assert names(include="first") == {"first.weight", "first.bias"}
    assert names(include=["*.bias", "mean"]) == {"first.bias", "tied.bias", "mean"}
    assert names(exclude=["first", "tied"]) == {"raw", "narrow", "mean"}
    with pytest.raises(FaultError, match="'heads' matches none"):
        names(include="heads")
    with pytest.raises(FaultError, match="leave no tensor"):
        names(include="raw", exclude="raw")


def test_bits():
    assert len(FaultSpace(Mixed(), bits="exponent", include="narrow")) == 25
    with pytest.raises(FormatError, match="narrow: float16 has bits 0 to 15"):
        FaultSpace(Mixed(), bits="30")
    with pytest.raises(FaultError, match="unknown target"):
        FaultSpace(Mixed(), "states?")


@given(st.sampled_from(["all", "exponent", "sign", "1,3-5"]), st.data())
def test_locate_numbers_every_bit_once(bits, data):
    space = FaultSpace(Mixed(), bits=bits)
    faults = space.locate(range(len(space)))
    assert len({(f.tensor, f.index, f.mask) for f in faults}) == len(space) == faults.flips
    position = data.draw(st.integers(0, len(space) - 1))
    assert next(iter(space.locate([position]))) == list(faults)[position]


def test_positions_outside_are_refused():
    space = FaultSpace(Mixed())
    for position in (-1, len(space)):
        with pytest.raises(FaultError, match="bit numbers run"):
            space.locate([position])


def test_sampling_is_uniform_over_element_and_bit():
    space = FaultSpace(Mixed())
    counts = np.zeros(len(space))
    every = {(f.tensor, f.index, f.mask): i for i, f in enumerate(space.locate(range(len(space))))}
    for trial in range(1500):
        for fault in space.sample(20, seed=11, trial=trial):
            counts[every[fault.tensor, fault.index, fault.mask]] += 1
    assert chisquare(counts).pvalue > 0.001


def test_the_same_key_gives_the_same_faults_and_fewer_are_a_prefix():
    space = FaultSpace(Mixed())
    faults = space.sample(9, seed=3, trial=4)
    assert faults == FaultSpace(Mixed()).sample(9, seed=3, trial=4)
    assert faults[:4] == space.sample(4, seed=3, trial=4)
    assert faults != space.sample(9, seed=3, trial=5)


@pytest.mark.parametrize(("op", "operand"), [("flip", None), ("replace", 5), ("random", None)])
@pytest.mark.parametrize("n", [0, 1, 9, 30])
def test_draws_for_many_trials_are_those_of_each(monkeypatch, n, op, operand):
    monkeypatch.setattr("faultsim.space.space.TOGETHER", 20)
    space = FaultSpace(Mixed())
    found = list(space.samples(n, range(2, 7), seed=3, op=op, operand=operand))
    each = [space.sample(n, seed=3, trial=t, op=op, operand=operand) for t in range(2, 7)]
    assert found == each
    assert [faults.sites for faults in found] == [faults.sites for faults in each]
    assert not any(faults.table.flags.writeable for faults in found)
    with pytest.raises(FaultError, match="cannot be drawn"):
        next(space.samples(len(space) + 1, range(2), seed=0))


@pytest.mark.parametrize("by", ["layer", "bit"])
def test_stratified_samples_follow_the_sizes_of_the_strata(by):
    space = FaultSpace(Mixed())
    strata = space.layers() if by == "layer" else space.by_bit()
    n = 64
    faults = list(space.sample(n, seed=0, stratify=by))
    assert len({(f.tensor, f.index, f.mask) for f in faults}) == n
    for name, stratum in strata.items():
        inside = [f for f in faults if (f.site.layer if by == "layer" else f.bits[0]) == name]
        assert abs(len(inside) - n * len(stratum) / len(space)) < 1


def test_more_faults_than_bits_are_refused():
    space = FaultSpace(Mixed(), include="mean")
    assert space.sample(64, seed=0).flips == 64
    with pytest.raises(FaultError, match="65 faults cannot be drawn from 64 bits"):
        space.sample(65, seed=0)


def test_layers_and_bits_partition_the_space():
    space = FaultSpace(Mixed())
    assert sum(map(len, space.layers().values())) == len(space)
    assert sum(map(len, space.by_bit().values())) == len(space)
    assert set(space.layers()) == {"(root)", "first", "tied"}


def test_bit_errors_follow_the_rate():
    space = FaultSpace(Mixed())
    total = sum(len(space.sample_bit_errors(0.01, seed=s)) for s in range(300))
    assert abs(total - 300 * 0.01 * len(space)) < 4 * (300 * 0.01 * len(space)) ** 0.5


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda space: FaultSpace(5), "must be an nn.Module, not 5"),
        (lambda space: FaultSpace(Mixed(), 5), "unknown target 5"),
        (lambda space: FaultSpace(Mixed(), bits=1.5), "bits 1.5 not understood"),
        (lambda space: FaultSpace(Mixed(), include=[5]), "the name of a tensor, not 5"),
        (lambda space: space.sample(1.5, seed=0), "number of faults"),
        (lambda space: space.sample(1, seed=None), "seed None is not between"),
        (lambda space: space.sample(1, seed=0, op="flipp"), "did you mean 'flip'"),
        (lambda space: space.sample(1, seed=0, op="replace"), "replace needs an operand"),
        (lambda space: space.sample_bit_errors("x", seed=0), "bit-error rate 'x'"),
        (lambda space: space.locate([0.5]), "whole numbers"),
        (lambda space: space.locate([3, 3]), "given twice"),
    ],
)
def test_what_does_not_fit_is_one_line(call, told):
    with pytest.raises((FaultError, FormatError), match=told):
        call(FaultSpace(Mixed()))
