"""Campaigns that strike what a model and its modules are given: every mode, with replay and not."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, Workload, run_campaign, tasks, trees
from faultsim.campaign import reproduce

G = torch.Generator().manual_seed(0)
IMAGES = [(torch.randn(n, 4, 4, generator=G), torch.arange(n) % 3) for n in (4, 4, 2)]
TOKENS = [{"ids": torch.randint(0, 9, (n, 5), generator=G), "labels": torch.arange(n) % 3} for n in (4, 2)]  # fmt: skip  # noqa: E501


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.branch = nn.Linear(16, 8), nn.ReLU(inplace=True), nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.first(x.flatten(1)))
        return self.head(x + self.branch(x))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 8), nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(ids).mean(1))


@pytest.fixture
def work() -> Workload:
    torch.manual_seed(0)
    return Workload(Net(), IMAGES, tasks.Classification(3), search=IMAGES)


@pytest.fixture
def go(tmp_path):
    def run(name: str, work: Workload, **settings) -> list[dict]:
        usual = {"mode": "random", "trials": 4, "flips": (1,), "out": str(tmp_path / name)}
        run_campaign(CampaignConfig(**usual | settings), work)
        text = (tmp_path / name / "trials-0.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return run


MODES = [
    {}, {"mode": "layer-wise"}, {"mode": "bit-wise", "trials": 1}, {"mode": "worst-case"},
    {"mode": "exhaustive", "bits": "31", "trials": None},
]  # fmt: skip


@pytest.mark.parametrize("target", ["inputs", "module-inputs"])
@pytest.mark.parametrize("settings", MODES, ids=lambda s: s.get("mode", "random"))
def test_every_mode_is_the_same_with_replay_and_leaves_the_batches_alone(
    go, work, tmp_path, target, settings
):
    before = trees.map_tensors(IMAGES, lambda _, tensor: tensor.clone())
    lines = go("a", work, target=target, **settings)
    assert lines == go("b", work, target=target, **settings, replay=False)
    assert not reproduce(tmp_path / "a", len(lines) - 1, work=work).differences
    pairs = zip(trees.tensors(before), trees.tensors(IMAGES), strict=True)
    assert all(torch.equal(was, now) for was, now in pairs)


@pytest.mark.parametrize("target", ["inputs", "module-inputs"])
def test_the_search_finds_a_worse_bit_than_chance_does(go, work, target):
    lines = go("a", work, target=target, mode="worst-case", trials=20, allow_nonfinite=True)
    ends = {"worst-case": [], "random": []}
    for line in lines:
        if line["cell"].get("curve") in ends and "search" not in line["cell"]:
            ends[line["cell"]["curve"]].append(line["sdc"] + line["due"])
    assert ends["worst-case"][-1] > sum(ends["random"]) / len(ends["random"])


def test_a_token_out_of_range_is_a_detected_error(go):
    torch.manual_seed(0)
    work = Workload(Tokens(), TOKENS, tasks.Classification(3))
    lines = go("a", work, target="inputs", bits="5-63", trials=10)
    assert all(line["due"] == line["n"] for line in lines)


def test_a_forward_of_its_own_is_fed_the_batch_as_it_was_given(go):
    torch.manual_seed(0)
    work = Workload(
        Tokens(), TOKENS, tasks.Classification(3), forward=lambda model, b: model(b["ids"])
    )
    settings = {"target": "inputs", "include": ("(input):ids",), "bits": "5-63"}
    lines = go("a", work, **settings)
    assert lines == go("b", work, **settings, replay=False)
    assert {fault["tensor"] for line in lines for fault in line["faults"]} == {"(input):ids"}
    assert all(line["due"] == line["n"] for line in lines)


def test_a_fault_file_may_name_them(go, work, tmp_path):
    sets = [FaultSpace(work.model, kind, "30", inputs=IMAGES[0][0]).sample(1, seed=1)
            for kind in ("inputs", "module-inputs")]  # fmt: skip
    for number, faults in enumerate(sets):
        path = tmp_path / f"{number}.json"
        path.write_text(faults.to_json())
        settings = {"mode": "from-file", "trials": None, "faults": str(path)}
        lines = go(f"a{number}", work, **settings)
        assert lines == go(f"b{number}", work, **settings, replay=False)
