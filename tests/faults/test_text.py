"""Fault sets as text, by columns: the bytes, and the faults, of going record by record."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import FaultError
from faultsim.faults import OPS, Fault, FaultSet, Site
from faultsim.faults.file import load, site_json
from faultsim.faults.from_text import columns_of

A = Site("a", "weights", "float32", (3, 4))
B = Site("b.bias", "weights", "bfloat16", (10,))
C = Site("c@1", "activations", "float32", (2, 3))
S = Site("scan", "states", "float32", (2, 2), steps=3)
SITES = [A, B, C, S]
BITS = st.integers(1, 15)


SPOILT = {
    "tensor": st.sampled_from(["module.a", "nowhere"]),
    "index": st.just(12) | st.just([1, 1]),
    "bit": st.integers(0, 40),
    "mask": st.integers(-1, 1 << 40),
    "op": st.sampled_from([*OPS, "melt"]),
    "operand": st.integers(-8, 8) | st.just("nan") | st.just(0.5),
    "sample": st.integers(0, 2),
    "step": st.integers(0, 3),
    "random": st.just(1 << 63) | st.integers(-3, 3),
}


@st.composite
def documents(draw):
    """Lists of records that are faults, often with one value that may be wrong."""
    bits = draw(st.sampled_from(["bit", "mask"]))
    items = []
    for site in draw(st.lists(st.sampled_from(SITES), max_size=4)):
        item = {"tensor": site.name, "index": draw(st.integers(0, 3)), bits: draw(BITS)}
        item |= draw(st.sampled_from([{}, {"op": "add", "operand": 2}, {"op": "zero"}]))
        items.append(item | ({"step": draw(st.integers(0, 2))} if site is S else {}))
    if items and draw(st.booleans()):
        name = draw(st.sampled_from(list(SPOILT)))
        items[-1][name] = draw(SPOILT[name])
    return items


def outcome(text: str) -> FaultSet | str:
    """What reading gives, by columns where they tell it."""
    try:
        return FaultSet.from_json(text, SITES, "f")
    except FaultError as error:
        return str(error)


def one_by_one(text: str) -> FaultSet | str:
    try:
        faults = load(text.encode(), SITES, "f")
    except FaultError as error:
        return str(error)
    try:
        return FaultSet.of(faults)
    except FaultError as error:
        return f"f: {error}"


@given(documents(), st.booleans())
def test_columns_are_read_as_records_are(items, bare):
    document = items if bare else {"faults": items, "sites": {A.name: site_json(A)}}
    text = json.dumps(document)
    assert outcome(text) == one_by_one(text)


def mixed() -> FaultSet:
    return FaultSet.of(
        [
            Fault(A, 3, bit=(1, 31)),
            Fault(A, 4, op="scale", operand=float("inf")),
            Fault(A, 5, op="replace", operand=0),
            Fault(B, 6, op="gaussian", operand=0.0, random=-7),
            Fault(C, 1, bit=2, sample=0),
            Fault(C, 2, bit=15, op="stuck-at-1"),
            Fault(S, 3, bit=0, step=2),
        ]
    )


@pytest.mark.parametrize("faults", [mixed(), mixed()[:1], mixed()[:0]], ids=["all", "one", "none"])
def test_what_is_written_is_what_records_say(faults):
    table = {site.name: site_json(site) for site in faults.sites}
    document = {"sites": table, "faults": faults.records()}
    assert faults.to_json() == json.dumps(document, indent=1)


def test_what_is_written_is_read_by_columns():
    sites, columns = columns_of(mixed().to_json().encode(), [])
    assert FaultSet(sites, *columns) == mixed()


@pytest.mark.parametrize("change", [{"index": [0, 0]}, {"mask": 1 << 63}, {"bit": 3}, {"x": 1}])
def test_what_is_unusual_is_left_to_another_reader(change):
    item = {"tensor": "a", "index": 0, "mask": 1}
    assert columns_of(json.dumps([item]).encode(), SITES) is not None
    assert columns_of(json.dumps([item | change]).encode(), SITES) is None
