"""Fault sets: validation, printing and JSON, without a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import FaultError, FaultSimError
from faultsim.faults import OPS, Fault, FaultSet, Site

A = Site("layers.0.A_logs", "weights", "float32", (384, 16))
B = Site("head.bias", "weights", "float16", (10,))
C = Site("act", "activations", "float32", (4, 8))


@st.composite
def fault_sets(draw):
    words = draw(st.sets(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 9)), max_size=12))
    faults = []
    for site, index in sorted(words, key=lambda word: (word[0].name, word[1])):
        mask = draw(st.integers(1, 2**site.format.bits - 1))
        op = draw(st.sampled_from(OPS))
        operand = draw(st.integers(0, 100)) if op == "replace" else 0
        sample = draw(st.none() | st.integers(0, 5)) if site.kind == "activations" else None
        faults.append(Fault(site, index, mask, op, operand, sample))
    return FaultSet.of(faults)


@given(fault_sets())
def test_json_gives_the_same_set_back(faults):
    assert FaultSet.from_json(faults.to_json()) == faults
    assert FaultSet.from_json(json.dumps(faults.records()), [A, B, C]) == faults


@given(fault_sets())
def test_iterating_slicing_and_joining(faults):
    assert FaultSet.of(faults) == faults
    half = len(faults) // 2
    assert FaultSet.join([faults[:half], faults[half:]]) == faults
    assert faults.flips == sum((fault.mask & (1 << 64) - 1).bit_count() for fault in faults)
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
        ([Fault(A, 384 * 16, 1)], "outside layers.0.A_logs"),
        ([Fault(A, -1, 1)], "outside"),
        ([Fault(B, 0, 1 << 16)], "no set of bits of float16"),
        ([Fault(A, 0, 0)], "no set of bits"),
        ([Fault(A, 0, 1, "melt")], "unknown operator 'melt'"),
        ([Fault(A, 5, 3), Fault(A, 5, 2)], "clash on layers.0.A_logs element 5"),
        ([Fault(A, 5, 1, "replace"), Fault(A, 5, 2)], "clash"),
        ([Fault(C, 5, 1), Fault(C, 5, 1, sample=2)], "clash"),
    ],
)
def test_impossible_faults_are_refused(faults, message):
    with pytest.raises(FaultError, match=message):
        FaultSet.of(faults)


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
