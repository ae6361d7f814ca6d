"""Fault files: what is refused, and where it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import FaultError, FaultSimError
from faultsim.faults import OPS, FaultSet, Site
from faultsim.faults.file import Document
from faultsim.files import json_schema
from faultsim.ops.operators import check_op

B = Site("head.bias", "weights", "float16", (10,))
M = Site("m", "weights", "float32", (3, 4))
GOOD = {"tensor": "head.bias", "index": 0, "bit": 3}
SITE = {"kind": "weights", "dtype": "float32", "shape": [3]}


def refused(text: str) -> str:
    with pytest.raises(FaultError) as caught:
        FaultSet.from_json(text, [B, M], "f.json")
    message = str(caught.value)
    assert message.startswith("f.json: ")
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bit": 1.5}, "$[1].bit: expected int | null, got float"),
        ({"bit": True}, "$[1].bit"),
        ({"bit": "3"}, "$[1].bit"),
        ({"bit": -1}, "$[1].bit: expected int >= 0"),
        ({"bit": 16}, "$[1]: float16 has bits 0 to 15"),
        ({"mask": 3}, "$[1]: bit and mask are both given"),
        ({"bit": None}, "$[1]: neither bit nor mask"),
        ({"bit": None, "mask": 1 << 64}, "$[1]: mask 18446744073709551616 has more than 64 bits"),
        ({"bit": None, "mask": -(1 << 63) - 1}, "more than 64 bits"),
        ({"tensor": []}, "$[1].tensor: expected str"),
        ({"tensor": "tail"}, "$[1]: 'tail' is not a site"),
        ({"step": 18446744073709551616}, "$[1].step: expected int <="),
        ({"sample": -1}, "$[1].sample"),
        ({"index": -1}, "$[1].index"),
        ({"index": 10}, "$[1]: index 10 is outside head.bias"),
        ({"index": [3, 3]}, "$[1]: head.bias of shape [10] has no element [3, 3]"),
        ({"tensor": "m", "index": [3, 0]}, "$[1]: m of shape [3, 4] has no element [3, 0]"),
        ({"index": [0.5]}, "$[1].index[0]"),
        ({"op": "melt"}, "unknown operator 'melt': use one of flip,"),
        ({"operand": 3}, "$[1]: operand and op replace go together"),
        ({"op": "replace"}, "$[1]: operand and op replace go together"),
        ({"bits": 3}, "$[1]: unknown field bits"),
    ],
)
def test_a_record_that_is_no_fault_is_told_with_its_place(change, told):
    assert told in refused(json.dumps([GOOD, GOOD | {"index": 1} | change]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "magic"}, "$.sites[...].kind: unknown value 'magic'"),
        ({"dtype": "float31"}, "$.sites[...]: float31 has no bit format"),
        ({"shape": ["x"]}, "$.sites[...].shape[0]: expected int"),
        ({"shape": [-1]}, "shape[0]"),
        ({"shape": [1 << 40, 1 << 40]}, "no tensor has the shape"),
        ({"steps": -4}, "steps: expected int >= 0"),
        ({"per_sample": 1}, "per_sample: expected bool"),
        ({"size": 1}, "unknown field size"),
    ],
)
def test_a_site_that_no_tensor_can_be_is_refused(change, told):
    assert told in refused(json.dumps({"sites": {"w": SITE | change}, "faults": []}))


def test_a_file_cannot_say_otherwise_what_the_model_s_tensors_are():
    sites = {"m": SITE | {"kind": "activations", "shape": [3, 4]}}
    assert "'m' is activations, float32 [3, 4] there" in refused(
        json.dumps({"sites": sites, "faults": []})
    )
    same = {"m": SITE | {"shape": [3, 4]}}
    fault = {"tensor": "m", "index": [2, 3], "bit": 0}
    (found,) = FaultSet.from_json(json.dumps({"sites": same, "faults": [fault]}), [M])
    assert (found.site, found.index) == (M, 11)


def test_no_name_is_given_twice():
    assert "'bit' is given twice" in refused(
        '[{"tensor": "head.bias", "index": 0, "bit": 1, "bit": 2}]'
    )


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"faults": ' + "[" * 100_000, "\ud800", "\0", "[]]"]
)
def test_what_is_no_json_is_one_line(text):
    refused(text)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["head.bias", "flip"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*GOOD, "op", "operand", "sites", "faults", "step"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.lists(values | st.fixed_dictionaries({key: values | st.just(GOOD[key]) for key in GOOD})))
def test_any_json_is_a_set_of_faults_or_one_error(document):
    try:
        FaultSet.from_json(json.dumps(document), [B])
    except FaultSimError as error:
        told = str(error)
    else:
        told = ""
    assert told.isprintable()


@pytest.mark.parametrize("op", [*OPS, "package.module:name"])
def test_operators_that_may_be_named(op):
    check_op(op)


def test_the_schema_tells_both_forms():
    schema = json_schema(Document)
    assert {"FaultFile", "FaultRecord", "SiteRecord"} <= schema["$defs"].keys()
