"""Replay of trials that strike results of functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx, nn

from faultsim import FaultSpace, inject
from faultsim.run.replay import Prefix
from faultsim.workload.outputs import same_bits

X = torch.rand(4, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Its module ``twice`` is called twice, and functions run between all calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) + x
        x = F.relu(self.twice(x)) + x
        return self.head(self.twice(x) * x).sin()


class Nest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.again = Net(), nn.Linear(3, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(self.again(self.net(x)) + 1)


def test_a_run_begins_where_the_operation_does_and_gives_the_same_bits():
    torch.manual_seed(0)
    for model in (Net().eval(), fx.symbolic_trace(Net().eval()), Nest().eval()):
        prefix = Prefix(model, X, len(X))
        prefix.record(X)
        assert prefix.cuts
        found = []
        for site in FaultSpace(model, "operations", inputs=X).sites:
            space = FaultSpace(model, "operations", "30", inputs=X, include=site.name)
            faults = space.locate([3 % site.numel])
            prefix.prepare(faults, X)
            found.append(prefix.cut(faults))
            with torch.no_grad(), inject(model, faults):
                whole = model(X)
            with torch.no_grad(), inject(model, faults):
                assert same_bits(prefix.run(0, X, faults), whole), site
        assert max(found) > 0
        assert not prefix.lost


def test_a_pass_is_watched_only_for_faults_in_operations():
    model = Net().eval()
    prefix = Prefix(model, X, len(X))
    prefix.record(X)
    calls = prefix.calls
    prefix.prepare(FaultSpace(model).sample(1, seed=0), X)
    assert prefix.calls is calls
