"""Operators of one's own: compiled, applied wherever a built-in one is, named and pickled."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys

import numpy as np
import pytest
import torch

import faultsim
from faultsim import ops
from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError
from faultsim.faults import Fault, FaultSet, Site
from faultsim.formats import signed
from faultsim.ops.words import apply_

pytest.importorskip("numba")

SITE = Site("w", "weights", "float32", (6,))
MODULE = """
import faultsim

@faultsim.operator
def gray(word, operand, random):
    return word ^ (word >> 1) ^ operand

@faultsim.value_operator
def damp(value, operand, random):
    return value * operand + random
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A module on the path with operators at its top."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_operators_of_a_test.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("own_operators_of_a_test")
    sys.path.remove(str(folder))


@faultsim.operator
def mixed(word, operand, random):
    return (word * 3 + operand) ^ (random >> 7)


@faultsim.value_operator
def bent(value, operand, random):
    return value * operand + random


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_words_of_every_format_against_python(device, fmt, transposed):
    rng = np.random.default_rng(1)
    raw = torch.from_numpy(rng.integers(-(2**63), 2**63, (4, 5))).to(fmt.word).view(fmt.dtype)
    tensor = raw.to(device, copy=True)
    tensor = tensor.t() if transposed else tensor
    before = tensor.contiguous().view(fmt.word).flatten().tolist()
    index = [3, 0, 17, 3]  # one of them twice
    random = rng.integers(-(2**63), 2**63, 4)
    expected = list(before)
    for place, draw in zip(index, random.tolist(), strict=True):
        word = expected[place] & (1 << fmt.bits) - 1
        expected[place] = signed(mixed(word, 9, draw & (1 << 64) - 1), fmt.bits)
    saved = apply_(tensor, index, mixed, 9, random=random)
    assert tensor.contiguous().view(fmt.word).flatten().tolist() == expected
    ops.restore_(tensor, index, saved)
    assert tensor.contiguous().view(fmt.word).flatten().tolist() == before


@pytest.mark.parametrize("op", [mixed, bent, "flip", "byte-shift"], ids=str)
def test_many_faults_on_few_words_compose_in_order(op):
    """Words are gathered in blocks; a block may hold one word several times."""
    rng = np.random.default_rng(2)
    index, random = rng.integers(0, 40, 1000), rng.integers(-(2**63), 2**63, 1000)
    operand = 0.5 if op is bent else 1
    one, other = torch.arange(1.0, 41.0), torch.arange(1.0, 41.0)
    before = one.clone()
    saved = apply_(one, index, op, operand, random=random)
    for place, draw in zip(index, random, strict=True):
        apply_(other, int(place), op, operand, random=int(draw))
    assert torch.equal(one.view(torch.int32), other.view(torch.int32))
    ops.restore_(one, index, saved)
    assert torch.equal(one, before)

    numbers = rng.permutation([mixed.number, 0, bent.number] * 200)
    table = np.zeros((8, 600), dtype=np.int64)
    table[1], table[2], table[3] = index[:600], 1 << 30, numbers
    table[4], table[7] = 1, random[:600]
    patch, other = ops.Patch([one], table), before.clone()
    patch.strike()
    for column in table.T:
        ops.Patch([other], column[:, None].copy()).strike()
    assert torch.equal(one.view(torch.int32), other.view(torch.int32))
    patch.restore()
    assert torch.equal(one, before)
    assert patch.changed() is None


def test_values_are_float64_and_rounded_once(device):
    tensor = torch.tensor([1.0, -2.5, 3e38, float("inf")], device=device)
    apply_(tensor, range(4), bent, 0.1, random=1 << 63)
    expected = [value * 0.1 + 0.5 for value in (1.0, -2.5, float(np.float32(3e38)), np.inf)]
    assert tensor.tolist() == torch.tensor(expected, dtype=torch.float64).float().tolist()


def test_only_the_bits_of_the_mask_reach_the_word(device):
    tensor = torch.arange(6, dtype=torch.int32, device=device)
    apply_(tensor, range(6), mixed, 1, mask=0xFF00, random=-1)
    assert all((new ^ old) & ~0xFF00 == 0 for old, new in enumerate(tensor.tolist()))


def test_a_patch_strikes_and_restores(device):
    tensor = torch.arange(1.0, 7.0, device=device)
    faults = FaultSet.of(
        [Fault(SITE, 1, op=bent, operand=2), Fault(SITE, 3, bit=31), Fault(SITE, 4, op=mixed)]
    )
    patch = ops.Patch([tensor], faults.table)
    for start in (2.0, 10.0):
        tensor[1] = start
        patch.strike()
        word = torch.tensor(5.0).view(torch.int32).item()
        last = torch.tensor(signed(word * 3, 32), dtype=torch.int32).view(torch.float32)
        assert tensor.tolist() == [1, 2 * start, 3, -4, float(last), 6]
        patch.restore()
        assert tensor.tolist() == [1, start, 3, 4, 5, 6]
        assert patch.changed() is None


def test_a_patch_strikes_many_words_by_one_operator(device):
    tensor = torch.arange(1.0, 7.0, device=device)
    faults = FaultSet.of([Fault(SITE, i, op=bent, operand=10 * i) for i in (4, 1, 3)])
    patch = ops.Patch([tensor], faults.table)
    patch.strike()
    assert tensor.tolist() == [1, 20, 3, 4 * 30, 5 * 40, 6]
    patch.restore()
    assert tensor.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_hidden_state_is_struck_as_a_loop_would():
    u, delta = torch.randn(1, 2, 9), torch.rand(1, 2, 9)
    rest = -torch.rand(2, 3), torch.randn(1, 1, 3, 9), torch.randn(1, 1, 3, 9)
    golden = ops.selective_scan(u, delta, *rest)
    fault = ops.StateFault(1, 2, 4, 0xFFFFFFFF, bent, operand=-1.0)
    y = ops.selective_scan(u, delta, *rest, state_faults=[fault])
    assert torch.equal(y[:, 0], golden[:, 0])
    assert torch.equal(y[:, 1, :4], golden[:, 1, :4])
    flipped = ops.StateFault(1, 2, 4, 1 << 31)  # times -1
    assert torch.equal(y, ops.selective_scan(u, delta, *rest, state_faults=[flipped]))


def test_describe_tells_before_and_after():
    model = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.25)
    fault = Fault(Site("weight", "weights", "float32", (1, 2)), 1, op=bent, operand=8)
    (told,) = FaultSet.of(fault).describe(model)
    assert (told.before, told.after) == (0.25, 2.0)
    assert str(told).endswith(":bent 8: 0.25 → 2")


def test_files_name_operators_by_import_path(own):
    faults = FaultSet.of(
        [Fault(SITE, 1, op=own.gray, operand=3), Fault(SITE, 2, op=own.damp, operand=0.5, random=7)]
    )
    assert FaultSet.from_json(faults.to_json()) == faults
    assert [item["op"] for item in faults.records()] == [own.gray.name, own.damp.name]
    assert Fault(SITE, 1, op="own_operators_of_a_test:gray", operand=3) == next(iter(faults))
    for again in (pickle.loads(pickle.dumps(faults)), copy.deepcopy(faults)):
        assert again == faults


def test_live_operators_strike_but_have_no_name_in_files():
    @faultsim.operator
    def live(word, operand, random):
        return word + 1

    faults = FaultSet.of(Fault(SITE, 1, op=live))
    tensor = torch.zeros(6)
    ops.Patch([tensor], faults.table).strike()
    assert tensor[1] > 0
    with pytest.raises(FaultError, match="live has no import path"):
        faults.to_json()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(faults)


def test_what_is_no_operator_is_one_line(own):
    @faultsim.operator
    def wrong(word, operand, random):
        return undefined_name  # noqa: F821

    @faultsim.operator
    def halved(word, operand, random):
        return word / 2

    @faultsim.operator
    def careful(word, operand, random):
        if word > operand:
            raise ValueError("too large")
        return word

    for call, told in [
        (lambda: apply_(torch.zeros(2), 0, careful), "careful raises an exception, which nothing"),
        (
            lambda: apply_(torch.zeros(2), 0, wrong),
            "numba cannot compile .*wrong: .*undefined_name",
        ),
        (lambda: apply_(torch.zeros(2), 0, halved), "halved returns float64, where an integer"),
        (lambda: faultsim.operator(lambda word: word), "must take three arguments"),
        (lambda: faultsim.operator(5), "is a Python function, not 5"),
        (lambda: Fault(SITE, 0, op="no_such_module:f"), "cannot import no_such_module"),
        (lambda: Fault(SITE, 0, op="math:sqrt"), "decorate it with @faultsim.operator"),
        (lambda: Fault(SITE, 0, op="melt"), "unknown operator 'melt'"),
    ]:
        with pytest.raises(FaultError, match=told) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_without_numba_one_line_says_how_to_get_it(monkeypatch):
    @faultsim.operator
    def fresh(word, operand, random):
        return word

    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(FaultError, match=r"fresh needs numba .*pip install 'faultsim\[numba\]'"):
        apply_(torch.zeros(2), 0, fresh)
