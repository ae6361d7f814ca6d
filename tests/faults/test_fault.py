"""A fault and a site are checked where they are made."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import FaultError, FaultSimError
from faultsim.faults import OPS, Fault, FaultSet, Site
from faultsim.ops.operators import column_of, takes_number

W = Site("fc.weight", "weights", "float32", (4, 6))
SCALAR = Site("gain", "weights", "float64", ())
BYTES = Site("packed", "weights", "int8", (3, 2))
ACT = Site("relu", "activations", "float16", (2, 3))
WHOLE = Site("rnn:1", "activations", "float16", (2, 3), per_sample=False)
STATE = Site("scan:state", "states", "float32", (2, 3), steps=5)
SITES = (W, SCALAR, BYTES, ACT, WHOLE, STATE)

numbers = st.integers(-3, 30) | st.sampled_from([1 << 15, 1 << 31, 1 << 63, -(1 << 63)])
small = st.none() | st.integers(0, 6)


@given(
    st.sampled_from(SITES), numbers, numbers, st.sampled_from(OPS), numbers.map(int), small, small
)
def test_a_fault_and_a_set_of_columns_refuse_the_same(site, index, mask, op, operand, sample, step):
    def made(make):
        try:
            return make()
        except FaultError:
            return None

    fault = made(lambda: Fault(site, index, mask, op, operand, sample, step))
    words = [np.array([n], np.uint64 if n >= 1 << 63 else np.int64) for n in (mask, operand)]
    column = [column_of(op, operand)] if takes_number(op) else words[1]
    rest = (OPS.index(op), column, *(-1 if n is None else n for n in (sample, step)))
    faults = made(lambda: FaultSet([site], 0, [index], words[0], *rest))
    assert (fault is None) == (faults is None)
    assert fault is None or list(faults) == [fault]


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=2)
)
anything |= st.lists(anything, max_size=3) | st.tuples(anything, anything)
FIELDS = ("site", "index", "mask", "op", "operand", "sample", "step", "bit")


@given(st.sampled_from(SITES), st.sampled_from(FIELDS), anything)
def test_whatever_a_fault_is_made_of_it_is_made_or_refused(site, field, value):
    usual = {"site": site, "index": 0, "mask": 1, "step": 0 if site.steps else None}
    if field == "bit":
        del usual["mask"]
    try:
        fault = Fault(**usual | {field: value})
    except FaultSimError as error:
        said = str(error)
    else:
        said = str(fault)
        assert not isinstance(value, bool | float)
    assert "\n" not in said


def test_coordinates_are_a_multi_index():
    for index in ((2, 5), [2, 5], np.array([2, 5]), (np.int8(2), torch.tensor(5))):
        assert Fault(W, index, 1).index == 2 * 6 + 5
    assert Fault(SCALAR, (), 1) == Fault(SCALAR, 0, 1)
    assert str(Fault(W, (2, 5), bit=30)) == "fc.weight[2,5] bit 30 (exponent) flip"
    assert FaultSet.of(Fault(W, (2, 5), 1)).index.tolist() == [17]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"index": (3, 17)}, r"\[3, 17\] is outside fc.weight, whose shape is \[4, 6\]"),
        ({"index": (3,)}, r"\[3\] is no element of fc.weight, whose shape is \[4, 6\]"),
        ({"index": (-1, 0)}, "coordinate -1 is out of range"),
        ({"index": 24}, "index 24 is outside fc.weight with 24 elements"),
        ({"index": -1}, "index -1 is outside"),
        ({"index": 1.0}, "index must be a whole number, not 1.0"),
        ({"index": True}, "index must be a whole number, not True"),
        ({"index": np.bool_(True)}, "index must be a whole number"),
        ({"index": (1, 2.5)}, "coordinate must be a whole number, not 2.5"),
        ({"index": np.zeros((1, 2), int)}, "index must be a whole number"),
        ({"mask": 0}, "mask 0x0 is no set of bits of float32"),
        ({"mask": 1 << 32}, "bit 32 is no set of bits of float32"),
        ({"mask": 3 << 31}, "mask 0x180000000 is no set of bits of float32"),
        ({"mask": 1 << 64}, "mask 18446744073709551616 is out of range"),
        ({"mask": 1e3}, "mask must be a whole number, not 1000.0"),
        ({"mask": None}, "needs its bits once"),
        ({"bit": 30}, "needs its bits once"),
        ({"op": "melt"}, "unknown operator 'melt'"),
        ({"op": "stuck1"}, "did you mean 'stuck-at-1'"),
        ({"op": "replace", "operand": 1 << 32}, "operand 0x100000000 is no word of float32"),
        ({"operand": 0.5}, "operand must be a whole number"),
        ({"sample": 0}, "cannot strike sample 0 alone"),
        ({"sample": -1, "site": ACT}, "sample -1 is out of range"),
        ({"sample": 1, "site": WHOLE}, "cannot strike sample 1 alone"),
        ({"step": 1}, "fc.weight has 0 time steps"),
        ({"site": STATE}, "scan:state has 5 time steps; step None is none of them"),
        ({"site": STATE, "step": 5}, "step 5 is none of them"),
        ({"site": 3}, "a Site or the name of one, not 3"),
    ],
)
def test_what_no_fault_can_be(settings, message):
    with pytest.raises(FaultError, match=message):
        Fault(**{"site": W, "index": 0, "mask": 1} | settings)


def test_bits_in_place_of_a_mask():
    assert Fault(W, 0, bit=31).mask == 1 << 31
    assert Fault(W, 0, bit=np.int64(3)).mask == 8
    assert Fault(W, 0, bit=[0, 30]).bits == (0, 30)
    assert Fault(W, 0, bit="sign").bits == (31,)
    assert Fault(W, 0, bit="23-30").bits == tuple(range(23, 31))
    for bit in (32, -1, 1.0, True, "sing", "32", []):
        with pytest.raises(FaultSimError):
            Fault(W, 0, bit=bit)


def test_a_mask_of_minus_one_is_all_bits_of_the_word():
    for site in (W, BYTES, ACT, SCALAR):
        fault = Fault(site, 0, -1)
        assert len(fault.bits) == FaultSet.of(fault).flips == site.format.bits
        assert f"bits 0-{site.format.bits - 1}" in str(fault)
    assert Fault(W, 0, op="replace").mask == Fault(W, 0, -1).mask


def test_a_fault_that_only_names_its_tensor():
    fault = Fault("fc.weight", (2, 5), bit=30)
    assert (fault.tensor, str(fault)) == ("fc.weight", "fc.weight[2,5] bit 30 flip")
    assert pickle.loads(pickle.dumps(fault)) == fault
    assert fault.placed({"fc.weight": W}) == Fault(W, 17, 1 << 30)
    assert Fault("fc.weight", 3, op="replace", operand=5).placed({"fc.weight": W}).mask == 2**32 - 1
    with pytest.raises(FaultError, match="place it"):
        fault.corrupt(3)
    with pytest.raises(FaultError, match="needs a Site"):
        Fault("fc.weight", 3, bit="sign")
    with pytest.raises(FaultError, match="bit 30 is no set of bits of float16"):
        fault.placed({"fc.weight": Site("fc.weight", "weights", "float16", (4, 6))})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "magic"}, "w: unknown kind 'magic', use one of weights, activations, states"),
        ({"kind": "weight"}, "did you mean 'weights'"),
        ({"kind": None}, "unknown kind None"),
        ({"shape": (3, -1)}, "w: size -1 is out of range"),
        ({"shape": (3.0,)}, "w: size must be a whole number"),
        ({"shape": "x"}, "w: size must be a whole number"),
        ({"steps": -4}, "w: steps -4 is out of range"),
    ],
)
def test_what_no_site_can_be(settings, message):
    with pytest.raises(FaultError, match=message):
        Site(**{"name": "w", "kind": "weights", "dtype": "float32", "shape": (3,)} | settings)
    assert Site("w", "weights", "float32", [3]).shape == (3,)
