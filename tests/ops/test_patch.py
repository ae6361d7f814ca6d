"""The patch: all faults of a set struck and undone at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim import ops
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import OPS, Fault, FaultSet, Site
from faultsim.ops.grid import on_grid

SITES = [
    Site("a", "weights", "float32", (3, 4)),
    Site("b", "weights", "int8", (5,)),
    Site("c", "weights", "float64", (2, 2)),
]


def tensors(device: torch.device) -> list[torch.Tensor]:
    transposed = torch.arange(12.0, device=device).view(4, 3).t()
    narrow = torch.arange(5, dtype=torch.int8, device=device)
    return [transposed, narrow, torch.ones(2, 2, dtype=torch.float64, device=device)]


def test_a_patch_does_what_the_operators_do_in_order(device):
    faults = FaultSet.of(
        [Fault(SITES[i % 3], i % 4, 3 << i % 4, OPS[i % 4], i) for i in (5, 0, 7, 2, 1, 11, 9)]
    )
    struck, expected = tensors(device), tensors(device)
    patch = ops.Patch([struck[SITES.index(site)] for site in faults.sites], faults.table)
    patch.strike()
    for fault in faults:
        operand = fault.operand if fault.op == "replace" else fault.mask
        ops.apply_(expected[SITES.index(fault.site)], fault.index, fault.op, operand)
    assert all(torch.equal(a, b) for a, b in zip(struck, expected, strict=True))
    patch.restore()
    patch.restore()
    assert all(torch.equal(a, b) for a, b in zip(struck, tensors(device), strict=True))


def test_striking_twice_saves_the_first_words(device):
    tensor = torch.ones(3, device=device)
    patch = ops.Patch(
        [tensor], FaultSet([Site("t", "weights", "float32", (3,))], 0, [1], 1 << 31).table
    )
    patch.strike()
    patch.strike()
    assert tensor.tolist() == [1.0, -1.0, 1.0]
    patch.restore()
    assert tensor.tolist() == [1.0, 1.0, 1.0]


def test_tensors_that_do_not_fit_are_refused_before_anything_is_touched(device):
    site = Site("t", "weights", "float32", (3,))
    with pytest.raises(FaultError, match="index 2 is outside a tensor of 2"):
        ops.Patch([torch.ones(2, device=device)], FaultSet([site], 0, [2], 1).table)
    with pytest.raises(InjectionError, match="overlapping"):
        ops.Patch([torch.ones(1, device=device).expand(3)], FaultSet([site], 0, [2], 1).table)


def test_duplicates_compose_in_array_order(device):
    """A FaultSet has none; the kernel is told so by nobody."""
    tensor = torch.tensor([5], dtype=torch.int32, device=device)
    ops_in_order = [0, 2, 3, 1, 0]  # flip, set, replace, clear, flip
    rows = [[0] * 5, [0] * 5, [3, 8, 0, 6, 1], ops_in_order, [0, 0, 14, 0, 0], [0] * 5, [0] * 5]
    patch = ops.Patch([tensor], np.array(rows, dtype=np.int64))
    patch.strike()
    assert tensor.tolist() == [(14 & ~6) ^ 1]
    patch.restore()
    assert tensor.tolist() == [5]


def test_equal_indices_of_different_tensors_are_different_words(device):
    ones = [torch.ones(2, device=device) for _ in range(2)]
    sites = [Site(name, "weights", "float32", (2,)) for name in "ab"]
    patch = ops.Patch(ones, FaultSet(sites, [0, 1], [1, 1], 1 << 31).table)
    patch.strike()
    assert [tensor.tolist() for tensor in ones] == [[1, -1], [1, -1]]
    patch.restore()
    assert [tensor.tolist() for tensor in ones] == [[1, 1], [1, 1]]


def test_an_empty_patch_does_nothing(device):
    patch = ops.Patch([torch.ones(1, device=device)], np.zeros((7, 0), dtype=np.int64))
    patch.strike()
    patch.restore()
    ops.Patch([], np.zeros((7, 0), dtype=np.int64)).strike()


def test_a_graph_holds_strike_and_restore(device):
    """No allocation, no copy, no Python: a replay strikes the words of its time."""
    if device.type != "cuda":
        pytest.skip("graphs are CUDA's")
    tensor = torch.ones(3, device=device)
    site = Site("t", "weights", "float32", (3,))
    patch = ops.Patch([tensor], FaultSet([site], 0, [1], 1 << 31).table)
    seen, graph = torch.empty_like(tensor), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        patch.strike()
        seen.copy_(tensor)
        patch.restore()
    tensor.fill_(2)
    graph.replay()
    assert (seen.tolist(), tensor.tolist()) == ([2, -2, 2], [2, 2, 2])


def test_tensors_that_share_storage_are_restored(device):
    """Tied weights under two names, or a view: faults of one word compose in their order."""
    tensor = torch.tensor([5, 6, 7, 8], dtype=torch.int32, device=device)
    rows = [[0, 1, 0], [2, 1, 2], [1, 2, 4], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    patch = ops.Patch([tensor, tensor[1:]], np.array(rows, dtype=np.int64))
    patch.strike()
    assert tensor.tolist() == [5, 6, 7 ^ 1 ^ 2 ^ 4, 8]
    patch.restore()
    assert tensor.tolist() == [5, 6, 7, 8]


def test_what_is_written_while_it_is_struck_stays_and_is_named(device):
    """The word of fault 1 is given a value, that of fault 2 what it held before."""
    tensor = torch.tensor([5, 6, 7, 8], dtype=torch.int32, device=device)
    site = Site("t", "weights", "int32", (4,))
    patch = ops.Patch([tensor], FaultSet([site], 0, [3, 1, 2], 16).table)
    for value, changed in ((99, (0, 1)), (6, None)):
        patch.strike()
        assert tensor.tolist() == [5, 22, 23, 24]
        tensor[1], tensor[2] = value, 7
        patch.restore()
        assert tensor.tolist() == [5, value, 7, 8]
        patch.restore()
        assert patch.changed() == patch.changed(wait=False) == changed
        tensor[1] = 6


@pytest.mark.parametrize("value", [5, 99])
def test_a_word_with_several_faults_that_is_written_stays(device, value):
    tensor = torch.tensor([4, 5], dtype=torch.int64, device=device)
    rows = [[0] * 3, [1, 0, 1], [1, 1, 2], [0] * 3, [0] * 3, [0] * 3, [0] * 3]
    patch = ops.Patch([tensor], np.array(rows, dtype=np.int64))
    patch.strike()
    assert tensor.tolist() == [5, 6]
    tensor[1] = value
    patch.restore()
    assert tensor.tolist() == [4, value]
    assert patch.changed() == (None if value == 5 else (0, 1))


def test_a_device_is_not_waited_for_where_autograd_saw_no_write(device, monkeypatch):
    tensor = torch.ones(3, device=device)
    patch = ops.Patch(
        [tensor], FaultSet([Site("t", "weights", "float32", (3,))], 0, [1], 1 << 31).table
    )
    if on_grid(tensor):
        monkeypatch.setattr(ops.FaultSlots, "changed", lambda self: pytest.fail("waited"))
    patch.strike()
    tensor.data.fill_(3)  # unseen
    patch.restore()
    assert tensor.tolist() == [3, 3, 3]
    assert patch.changed(wait=False) == (None if on_grid(tensor) else (0, 1))


@given(st.data())
def test_every_word_is_restored_unless_it_was_written(device, data):
    """An oracle in plain Python: what was written stays, all else is what it was."""
    tensor = torch.arange(8, dtype=torch.int16, device=device)
    rows = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=12))
    masks = [1 << data.draw(st.integers(4, 12)) for _ in rows]
    table = np.array([[0] * len(rows), rows, masks, *[[0] * len(rows)] * 4], dtype=np.int64)
    patch = ops.Patch([tensor], table)
    patch.strike()
    written = data.draw(st.dictionaries(st.integers(0, 7), st.integers(-9, -1)))
    for index, value in written.items():
        tensor[index] = value
    patch.restore()
    assert tensor.tolist() == [written.get(index, index) for index in range(8)]
    lost = {(0, index) for index in written if index in rows}
    assert patch.changed() in (lost or {None})
