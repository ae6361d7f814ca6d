"""The patch: all faults of a set struck and undone at once."""

from __future__ import annotations

import pytest
import torch

from faultsim import ops
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import OPS, Fault, FaultSet, Site

SITES = [
    Site("a", "weights", "float32", (3, 4)),
    Site("b", "weights", "int8", (5,)),
    Site("c", "weights", "float64", (2, 2)),
]


def tensors() -> list[torch.Tensor]:
    transposed = torch.arange(12.0).view(4, 3).t()
    return [transposed, torch.arange(5, dtype=torch.int8), torch.ones(2, 2, dtype=torch.float64)]


def test_a_patch_does_what_the_operators_do_in_order():
    faults = FaultSet.of(
        [Fault(SITES[i % 3], i % 4, 3 << i % 4, OPS[i % 4], i) for i in (5, 0, 7, 2, 1, 11, 9)]
    )
    struck, expected = tensors(), tensors()
    patch = ops.Patch([struck[SITES.index(site)] for site in faults.sites], faults.table)
    patch.strike()
    for fault in faults:
        operand = fault.operand if fault.op == "replace" else fault.mask
        ops.apply_(expected[SITES.index(fault.site)], fault.index, fault.op, operand)
    assert all(torch.equal(a, b) for a, b in zip(struck, expected, strict=True))
    patch.restore()
    patch.restore()
    assert all(torch.equal(a, b) for a, b in zip(struck, tensors(), strict=True))


def test_striking_twice_saves_the_first_words():
    tensor = torch.ones(3)
    patch = ops.Patch(
        [tensor], FaultSet([Site("t", "weights", "float32", (3,))], 0, [1], 1 << 31).table
    )
    patch.strike()
    patch.strike()
    assert tensor.tolist() == [1.0, -1.0, 1.0]
    patch.restore()
    assert tensor.tolist() == [1.0, 1.0, 1.0]


def test_tensors_that_do_not_fit_are_refused_before_anything_is_touched():
    site = Site("t", "weights", "float32", (3,))
    with pytest.raises(FaultError, match="index 2 is outside a tensor of 2"):
        ops.Patch([torch.ones(2)], FaultSet([site], 0, [2], 1).table)
    with pytest.raises(InjectionError, match="overlapping"):
        ops.Patch([torch.ones(1).expand(3)], FaultSet([site], 0, [2], 1).table)
