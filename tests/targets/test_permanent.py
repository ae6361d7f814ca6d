"""Stuck-at faults that stay: in every batch, pass and step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import inject
from faultsim.errors import FaultError
from faultsim.faults import Fault, FaultSet, Site
from faultsim.ops import SelectiveScan, StateFault, selective_scan
from faultsim.space import FaultSpace


def test_a_weight_is_stuck_from_arming_to_disarming():
    model = nn.Linear(2, 2)
    with inject(model, Fault("weight", 1, bit=31, op="stuck-at-1")):
        for _ in range(3):
            model(torch.randn(4, 2))
            assert model.weight.flatten()[1] <= 0


def test_an_activation_is_stuck_in_every_sample_of_every_batch():
    model = nn.Sequential(nn.Linear(3, 4), nn.Identity())
    space = FaultSpace(model, "activations", inputs=torch.randn(2, 3))
    fault = Fault("0", 2, bit=31, op="stuck-at-1")
    with inject(model, FaultSet.of(fault, space)):
        for batch in (torch.randn(5, 3), torch.randn(2, 3)):
            golden = -model[0].weight[2].detach() @ batch.T - model[0].bias[2].detach()
            assert torch.allclose(model(batch)[:, 2], -golden.abs(), atol=1e-6)


def test_a_state_is_stuck_at_every_step_of_every_batch():
    scan = SelectiveScan()
    given = [torch.randn(2, 3, 7), torch.rand(2, 3, 7), -torch.rand(3, 2)]
    given += [torch.randn(2, 1, 2, 7) for _ in range(2)]

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scan = scan

        def forward(self, u):
            n = len(u)
            return self.scan(u, *(t[:n] if t.dim() > 2 else t for t in given[1:]))

    model = Model()
    space = FaultSpace(model, "states", inputs=given[0])
    (site,) = space.sites
    fault = Fault(site, 3, bit=31, op="stuck-at-1")  # channel 1, state 1
    each = [StateFault(1, 1, step, 1 << 31, "stuck-at-1") for step in range(7)]
    with inject(model, fault):
        for batch in (given[0], given[0] * 2):
            expected = selective_scan(batch, *given[1:], state_faults=each)
            assert torch.equal(model(batch), expected)
    always = StateFault(1, 1, None, 1 << 31, "stuck-at-1")
    assert torch.equal(
        selective_scan(*given, state_faults=[always]), selective_scan(*given, state_faults=each)
    )
    assert FaultSet.from_json(FaultSet.of(fault).to_json()) == FaultSet.of(fault)


def test_only_what_is_stuck_may_leave_out_the_step_of_a_state():
    site = Site("scan:state", "states", "float32", (2, 3), steps=5)
    for op in ("flip", "zero", "random"):
        with pytest.raises(FaultError, match="step None is none of them"):
            Fault(site, 1, -1, op)
