"""Slots hold one trial's faults after another's; a graph strikes what they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import FaultError
from faultsim.faults import OPS, FaultSet, Site
from faultsim.ops import FaultSlots, Patch

SITES = [Site("a", "weights", "float32", (3, 4)), Site("b", "weights", "float64", (5,))]


@pytest.fixture(scope="module")
def pair(device) -> tuple[torch.device, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.rand(3, 4, generator=generator).t().contiguous().t(),
        torch.rand(5, dtype=torch.float64, generator=generator),
    ]
    return device, [tensor.to(device) for tensor in tensors]


@st.composite
def tables(draw) -> np.ndarray:
    words = draw(st.lists(st.integers(0, 16), unique=True, max_size=6))
    sites = [int(word >= 12) for word in words]
    index = [word - 12 * site for word, site in zip(words, sites, strict=True)]
    op = [draw(st.integers(0, len(OPS) - 1)) for _ in words]
    mask = [draw(st.integers(1, (1 << 31) - 1)) for _ in words]
    shift = OPS.index("byte-shift")
    operand = [m % 8 if number == shift else m for number, m in zip(op, mask, strict=True)]
    return FaultSet(SITES, sites, index, mask, op, operand, random=mask).table


@given(st.lists(tables(), min_size=2, max_size=4))
def test_each_load_is_struck_as_a_patch_would(pair, trials):
    device, tensors = pair
    slots, golden = FaultSlots(tensors, 6, device), [tensor.clone() for tensor in tensors]
    for table in trials:
        expected = [tensor.clone() for tensor in golden]
        Patch(expected, table).strike()
        slots.load(table)
        slots.strike()
        assert all(map(torch.equal, map(bits, tensors), map(bits, expected)))
        slots.restore()
        assert all(map(torch.equal, map(bits, tensors), map(bits, golden)))


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(torch.int32 if tensor.dtype == torch.float32 else torch.int64)


def test_slots_start_without_faults(pair):
    device, tensors = pair
    slots, golden = FaultSlots(tensors, 3, device), [tensor.clone() for tensor in tensors]
    slots.strike()
    assert all(map(torch.equal, tensors, golden))
    slots.restore()
    assert all(map(torch.equal, tensors, golden))


def test_an_index_outside_is_refused_and_nothing_loaded(pair):
    device, tensors = pair
    slots, golden = FaultSlots(tensors, 3, device), [tensor.clone() for tensor in tensors]
    table = np.array([[0], [12], [1], [0], [0], [0], [0]])
    with pytest.raises(FaultError, match="index 12"):
        slots.load(table)
    with pytest.raises(FaultError, match="4 faults do not fit into 3 slots"):
        slots.load(np.repeat(table, 4, axis=1))
    slots.strike()
    assert all(map(torch.equal, tensors, golden))
    slots.restore()


def test_a_graph_strikes_what_the_slots_hold(device):
    if device.type != "cuda":
        pytest.skip("graphs are CUDA's")
    tensor = torch.ones(3, device=device)
    slots, seen = FaultSlots([tensor], 4, device), torch.empty_like(tensor)
    site, graph = Site("t", "weights", "float32", (3,)), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        slots.strike()
        seen.copy_(tensor)
        slots.restore()
    for index in ([0, 1], [2], []):
        slots.load(FaultSet([site], [0] * len(index), index, 1 << 31).table)
        graph.replay()
        assert seen.tolist() == [-1.0 if i in index else 1.0 for i in range(3)]
        assert tensor.tolist() == [1, 1, 1]
