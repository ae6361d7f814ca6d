"""Parts of outputs and targets, by path or by function."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from faultsim.errors import ConfigError
from faultsim.workload.parts import part


@dataclass
class Output:
    logits: torch.Tensor
    loss: None = None


LOGITS = torch.rand(3)


@pytest.mark.parametrize(
    ("tree", "where"),
    [
        ({"head": Output(LOGITS)}, "head.logits"),
        ((0, {"out": LOGITS}), "1.out"),
        ([LOGITS, 0], 0),
        (Output(LOGITS), "0"),
        (SimpleNamespace(head={"x": LOGITS}), "head.x"),
        ({"a": [0, LOGITS]}, lambda tree: tree["a"][1]),
    ],
)
def test_a_part_is_found_by_names_positions_and_functions(tree, where):
    assert part(tree, where) is LOGITS


@pytest.mark.parametrize(
    ("tree", "where", "message"),
    [
        ({"a": 1, "b": 2}, "c", "no 'c' in a dict, which has a, b"),
        ((LOGITS,), "0.x", "no 'x' in a Tensor"),
        ((LOGITS,), 3, "no '3' in a tuple, which has 0"),
    ],
)
def test_what_is_not_there_is_told(tree, where, message):
    with pytest.raises(ConfigError, match=message):
        part(tree, where)
