"""Campaigns that strike results of functions: every mode, with replay and not."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from faultsim import CampaignConfig, FaultSpace, Workload, run_campaign, tasks
from faultsim.campaign import reproduce

G = torch.Generator().manual_seed(0)
IMAGES = [(torch.randn(n, 3, 8, generator=G), torch.arange(n) % 3) for n in (4, 4, 2)]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        return x + self.out(F.softmax(q @ k.mT, -1) @ v)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = Block(), Block(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(x))
        x = F.relu(x, inplace=True)
        return self.head(x.mean(1))


@pytest.fixture(params=["modules", "graph"])
def work(request) -> Workload:
    torch.manual_seed(0)
    model = Net() if request.param == "modules" else fx.symbolic_trace(Net())
    return Workload(model, IMAGES, tasks.Classification(3), search=IMAGES)


@pytest.fixture
def go(tmp_path):
    def run(name: str, work: Workload, **settings) -> list[dict]:
        usual = {"target": "operations", "trials": 3, "flips": (1,), "out": str(tmp_path / name)}
        run_campaign(CampaignConfig(**usual | settings), work)
        text = (tmp_path / name / "trials-0.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return run


MODES = [
    {"mode": "random", "trials": 20}, {"mode": "layer-wise"}, {"mode": "bit-wise", "trials": 1},
    {"mode": "worst-case", "flips": (1, 2)},
    {"mode": "exhaustive", "bits": "30", "trials": None, "include": ("*softmax*", "*mean*")},
]  # fmt: skip


@pytest.mark.parametrize("settings", MODES, ids=lambda s: s["mode"])
def test_every_mode_is_the_same_with_replay_and_repeats(go, work, tmp_path, settings):
    lines = go("a", work, **settings)
    assert lines == go("b", work, **settings, replay=False)
    assert {":" in fault["tensor"] for line in lines for fault in line["faults"]} == {True}
    assert not reproduce(tmp_path / "a", len(lines) - 1, work=work).differences


def test_the_search_finds_a_worse_bit_than_chance_does(go, work):
    lines = go("a", work, mode="worst-case", trials=20, allow_nonfinite=True)
    ends = {"worst-case": [], "random": []}
    for line in lines:
        if line["cell"].get("curve") in ends and "search" not in line["cell"]:
            ends[line["cell"]["curve"]].append(line["sdc"] + line["due"])
    assert ends["worst-case"][-1] > sum(ends["random"]) / len(ends["random"])


def test_a_fault_file_may_name_them(go, work, tmp_path):
    faults = FaultSpace(work.model, "operations", "30", inputs=IMAGES[0][0]).sample(2, seed=1)
    (tmp_path / "f.json").write_text(faults.to_json())
    settings = {"mode": "from-file", "trials": None, "faults": str(tmp_path / "f.json")}
    assert go("a", work, **settings) == go("b", work, **settings, replay=False)


def test_gradients_are_those_of_the_values(work):
    from faultsim.faults import FaultSet
    from faultsim.run.gradients import Gradients
    from faultsim.workload import Batch

    batch = Batch(IMAGES[0][0], IMAGES[0][1], 4)
    found = Gradients(work, batch).of_operations(FaultSet((), [], [], []))
    names = {site.name for site in FaultSpace(work.model, "operations", inputs=batch.inputs).sites}
    assert names <= found.keys()
    value, slope = next(found[name] for name in found if "mean" in name)
    leaf = value.clone().requires_grad_()
    loss = work.task.loss(work.model.head(leaf), batch)
    assert torch.allclose(slope, torch.autograd.grad(loss, leaf)[0])
