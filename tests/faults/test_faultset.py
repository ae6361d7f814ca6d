"""Fault sets: validation, printing and JSON, without a model."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import FaultError, FaultSimError
from faultsim.faults import OPS, Fault, FaultSet, Site

A = Site("layers.0.A_logs", "weights", "float32", (384, 16))
B = Site("head.bias", "weights", "float16", (10,))
C = Site("act", "activations", "float32", (4, 8))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
OPERANDS = {
    "replace": st.integers(0, 100),
    "byte-shift": st.integers(-7, 7),
    **dict.fromkeys(("set", "add", "scale", "gaussian"), NUMBERS),
}


@st.composite
def fault_sets(draw):
    words = draw(st.sets(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 9)), max_size=12))
    faults = []
    for site, index in sorted(words, key=lambda word: (word[0].name, word[1])):
        mask = draw(st.integers(1, 2**site.format.bits - 1))
        op = draw(st.sampled_from(OPS))
        operand = draw(OPERANDS.get(op, st.none()))
        random = draw(st.integers(-(2**63), 2**63 - 1)) if op in ("random", "gaussian") else 0
        sample = draw(st.none() | st.integers(0, 5)) if site.kind == "activations" else None
        faults.append(Fault(site, index, mask, op, operand, sample, random=random))
    return FaultSet.of(faults)


def pickle_again(faults):
    return pickle.loads(pickle.dumps(faults))


@given(fault_sets())
def test_json_gives_the_same_set_back(faults):
    assert FaultSet.from_json(faults.to_json()) == faults
    assert FaultSet.from_json(json.dumps(faults.records()), [A, B, C]) == faults


def struck(fault):
    """Bits; of what changes a whole word, one."""
    of_bits = fault.op in ("flip", "stuck-at-0", "stuck-at-1", "replace")
    return (fault.mask & (1 << 64) - 1).bit_count() if of_bits else 1


@given(fault_sets())
def test_iterating_slicing_and_joining(faults):
    assert FaultSet.of(faults) == faults
    half = len(faults) // 2
    assert FaultSet.join([faults[:half], faults[half:]]) == faults
    assert faults.flips == sum(struck(fault) for fault in faults)
    assert sum(len(part) for _, part in faults.by_site()) == len(faults)


def test_text_reads_as_people_say_it():
    fault = Fault(A, 37 * 16 + 4, 1 << 30, before=0.693, after=2.36e38)
    assert str(fault) == "layers.0.A_logs[37,4] bit 30 (exponent) flip: 0.693 → 2.36e38"
    assert str(Fault(B, 3, 3, "stuck-at-1")) == "head.bias[3] bits 0-1 (mantissa) stuck-at-1"
    assert str(Fault(C, 9, 1 << 31, sample=2)) == "act[1,1] sample 2 bit 31 (sign) flip"


def test_the_set_is_immutable():
    faults = FaultSet([A], 0, [1], 1)
    with pytest.raises(AttributeError):
        faults.index = np.zeros(1)
    with pytest.raises(ValueError, match="read-only"):
        faults.index[0] = 2


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([Fault(A, 5, 3), Fault(A, 5, 2)], "clash on layers.0.A_logs element 5"),
        ([Fault(A, 5, 1, "replace"), Fault(A, 5, 2)], "clash"),
        ([Fault(C, 5, 1), Fault(C, 5, 1, sample=2)], "clash"),
    ],
)
def test_impossible_faults_are_refused(faults, message):
    with pytest.raises(FaultError, match=message):
        FaultSet.of(faults)


@pytest.mark.parametrize("form", [pickle_again, copy.copy, copy.deepcopy])
@given(faults=fault_sets())
def test_a_copy_is_equal_and_immutable(form, faults):
    again = form(faults)
    assert (again, hash(again)) == (faults, hash(faults))
    assert not again.mask.flags.writeable


@given(fault_sets())
def test_equal_sets_hash_alike_whatever_their_tables(faults):
    wider = FaultSet([B, C, A], 0, [], []) + faults
    assert wider.sites != faults.sites
    assert (wider, hash(wider)) == (faults, hash(faults))


def test_sets_add_up_and_clash():
    one, two = FaultSet.of(Fault(A, 1, 1)), FaultSet.of([Fault(B, 1, 1)])
    assert list(one + two) == [Fault(A, 1, 1), Fault(B, 1, 1)]
    assert FaultSet.join([]) == FaultSet.of([])
    with pytest.raises(FaultError, match="clash"):
        one + one
    with pytest.raises(TypeError):
        one + list(two)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"index": [1.5]}, "index must hold whole numbers of at most 64 bits, not float64"),
        ({"mask": [1.0]}, "mask must hold whole numbers"),
        ({"mask": [True]}, "not bool"),
        ({"index": [None]}, "not object"),
        ({"index": [[1], [2, 3]]}, "index must hold whole numbers"),
        ({"index": ["1"]}, "not <U1"),
        ({"index": [[1]]}, r"index has the shape \[1, 1\]"),
        ({"index": [1, 2], "mask": [1, 2, 3]}, r"mask has the shape \[3\], but index \[2\]"),
        ({"index": [1, 2], "mask": [1]}, r"mask has the shape \[1\], but index \[2\]"),
        ({"index": [1 << 63]}, "index 9223372036854775808 is out of range"),
        ({"mask": [1 << 70]}, "not object"),
        ({"op": 11}, "op is out of range 0 to 10"),
        ({"op": -1}, "op is out of range 0 to 10"),
        ({"op": OPS.index("byte-shift"), "operand": 8}, "byte-shift: operand 8 is out of range"),
        ({"op": "flip"}, "op must hold whole numbers"),
        ({"site": 1}, "site is out of range 0 to 0"),
        ({"sites": ["w"]}, "Sites, not 'w'"),
        ({"sample": 0}, "cannot strike sample 0 alone"),
        ({"sample": -2}, "sample -2 is out of range"),
        ({"step": 0}, "has 0 time steps"),
        ({"index": 6144}, "outside"),
        ({"mask": 1 << 32}, "bit 32 is no set of bits of float32"),
        ({"op": 3, "operand": 1 << 32}, "operand 0x100000000 is no word of float32"),
    ],
)
def test_columns_that_are_no_faults(columns, message):
    with pytest.raises(FaultError, match=message):
        FaultSet(**{"sites": [A], "site": 0, "index": [0], "mask": 1} | columns)


def test_masks_may_be_signed_unsigned_or_sign_extended():
    D = Site("d", "weights", "float64", (2,))
    top = np.array([1 << 63], np.uint64)
    assert list(FaultSet([D], 0, [0], top)) == [Fault(D, 0, bit=63)]
    assert list(FaultSet([A], 0, [0], np.int32([-(1 << 31)]))) == [Fault(A, 0, bit=31)]
    assert FaultSet([A], 0, [0], -1).flips == 32


def test_names_are_placed_in_sites():
    faults = FaultSet.of([Fault("head.bias", 3, bit=2), Fault(A, 1, 1)], [A, B])
    assert list(faults) == [Fault(B, 3, 4), Fault(A, 1, 1)]
    with pytest.raises(FaultError, match=r"is none of the 2 sites: did you mean 'head\.bias'"):
        FaultSet.of(Fault("head.bais", 3, bit=2), [A, B])
    with pytest.raises(FaultError, match="index 10 is outside"):
        FaultSet.of(Fault("head.bias", 10, bit=2), [A, B])
    with pytest.raises(FaultError, match="holds Faults, not 3"):
        FaultSet.of([3])


def test_disjoint_masks_and_different_samples_do_not_clash():
    FaultSet.of([Fault(A, 5, 1), Fault(A, 5, 2)])
    FaultSet.of([Fault(C, 5, 1, sample=1), Fault(C, 5, 1, sample=2)])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "3",
        '{"faults": 3}',
        "[1]",
        '[{"tensor": "nowhere", "index": 0, "bit": 1}]',
        '[{"tensor": "head.bias", "index": 0}]',
        '[{"tensor": "head.bias", "index": 0, "bit": 99}]',
        '[{"tensor": "head.bias", "index": 10, "bit": 1}]',
        '[{"tensor": "head.bias", "index": [3, 3], "bit": 1}]',
        '[{"tensor": "head.bias", "index": "x", "bit": 1}]',
        '[{"tensor": "head.bias", "index": 0, "mask": "x"}]',
        '[{"tensor": "head.bias", "index": 0, "bit": null}]',
        '{"sites": {"w": {"kind": "weights"}}, "faults": []}',
        '{"sites": [], "faults": []}',
    ],
)
def test_unreadable_fault_files_raise_one_line(text):
    with pytest.raises(FaultSimError) as caught:
        FaultSet.from_json(text, [B])
    assert "\n" not in str(caught.value)


def test_a_fault_file_may_use_coordinates_and_bits():
    faults = FaultSet.from_json('[{"tensor": "layers.0.A_logs", "index": [37, 4], "bit": 30}]', [A])
    assert list(faults) == [Fault(A, 37 * 16 + 4, 1 << 30)]


def test_only_states_have_time_steps():
    with pytest.raises(FaultError, match="weights have no time steps"):
        Site("fc.weight", "weights", "float32", (3,), steps=4)
