"""Outputs compared sample by sample: an oracle in bytes, over trees of every kind."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import ConfigError
from faultsim.workload.outputs import (
    compare,
    copied,
    identical,
    nothing_like,
    rows_of,
    same_bits,
    shapes,
)

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.int64,
    torch.bool, torch.complex64, torch.complex128,
)  # fmt: skip


@dataclass
class Output:
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...]


def one(dtype: torch.dtype, n: int) -> torch.Tensor:
    values = torch.arange(n * 4).reshape(n, 4) % 5
    return values.to(dtype)


@given(st.sampled_from(DTYPES), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_a_sample_is_masked_if_and_only_if_its_bytes_are_the_same(dtype, n, row, column):
    golden, faulty = one(dtype, n), one(dtype, n).clone()
    row %= n
    faulty[row, column] = faulty[row, column] == 0
    trees = [Output(t, (one(torch.float32, n),)) for t in (golden, faulty)]
    found = compare(*(rows_of(tree, n) for tree in trees))
    wanted = [
        bytes(a.view(torch.uint8).tolist()) == bytes(b.view(torch.uint8).tolist())
        if not dtype.is_complex
        else torch.equal(a, b)
        for a, b in zip(golden, faulty, strict=True)
    ]
    assert found.same.tolist() == wanted
    assert found.finite.all()


def test_zero_of_either_sign_is_not_the_same():
    found = compare(torch.tensor([[0.0], [1.0]]), torch.tensor([[-0.0], [1.0]]))
    assert found.same.tolist() == [False, True]
    assert found.deviation == 0.0


def test_samples_that_are_lists_may_grow_and_shrink():
    def boxes(*counts: int) -> list[dict[str, torch.Tensor]]:
        return [{"boxes": torch.ones(n, 4), "labels": torch.ones(n).long()} for n in counts]

    found = compare(rows_of(boxes(2, 0, 3), 3), rows_of(boxes(2, 1, 2), 3))
    assert found.same.tolist() == [True, False, False]
    bad = boxes(2, 0, 3)
    bad[2]["boxes"][1, 1] = torch.inf
    assert compare(boxes(2, 0, 3), bad).finite.tolist() == [True, True, False]


def test_what_has_no_row_for_each_sample_is_refused():
    mixed = {"a": torch.rand(2, 2), "h": torch.rand(1, 2)}
    for output in (torch.tensor(1.0), torch.rand(3, 2), mixed, "x"):
        with pytest.raises(ConfigError, match="not a row for each of 2 samples"):
            rows_of(output, 2)


def test_nothing_like_an_output_is_never_finite():
    empty = nothing_like({"a": torch.rand(2, 3), "b": torch.ones(2, dtype=torch.int64)})
    assert empty["a"].isnan().all()
    assert not empty["b"].any()


def test_copies_keep_strides_and_stand_alone():
    tensor = torch.rand(4, 6)[:, ::2].T
    copy = copied(tensor)
    assert copy.stride() == tensor.stride()
    copy.zero_()
    assert not same_bits(copy, tensor)


def test_shapes_tell_batches_apart():
    assert shapes({"a": torch.rand(2, 3)}) == shapes({"a": torch.rand(2, 3)})
    for other in ({"a": torch.rand(3, 3)}, {"b": torch.rand(2, 3)}, {"a": torch.rand(2, 3).half()}):
        assert shapes({"a": torch.rand(2, 3)}) != shapes(other)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_outputs_are_identical_when_all_of_them_is(dtype):
    def made():
        return {"a": [one(dtype, 2), "text"], "b": Output(one(dtype, 1), ()), "n": 3, "none": None}

    assert identical(made(), made())
    for key, other in (("n", 4), ("n", 3.0), ("none", 0), ("a", [one(dtype, 2), "texts"])):
        assert not identical(made(), made() | {key: other})
    assert not identical(made(), made() | {"b": Output(one(dtype, 1) + 1, ())})
    assert not identical(made(), made() | {"more": 1})


def test_what_cannot_be_seen_is_not_identical():
    thing = object()
    assert not identical(thing, thing)
    assert not identical([one(torch.int64, 1), thing], [one(torch.int64, 1), thing])
    assert not identical(torch.tensor(-0.0), torch.tensor(0.0))
    assert identical(torch.tensor(torch.nan), torch.tensor(torch.nan))
