"""Worst-case searches of what is no float32 classifier of images.

What is tested elsewhere: models of tokens, `generate` and its teacher in
tests/campaign/test_language.py.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSimError, Workload, tasks

IDS, CLASSES = torch.randint(0, 20, (6, 5)), torch.arange(6) % 3


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(ids).mean(1))


class Towards(tasks.Classification):
    """A targeted attack (TBT): all is to be of class 0."""

    objective = "other"

    def loss(self, output, batch):
        return -super().loss(output, batch._replace(targets=torch.zeros_like(batch.targets)))

    def scores(self, outputs, batches):
        return {"other": float((torch.cat(list(outputs)).argmax(1) != 0).double().mean())}

    probe = scores


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_search_may_aim_at_a_class(campaign, target):
    work = Workload(Reader(), [(IDS, CLASSES)], Towards(3), search=[(IDS, CLASSES)])
    result = campaign(work, mode="worst-case", target=target, flips=(3,), bits="0-29")
    found = next(cell for cell in result.cells if cell.cell["curve"] == "worst-case")
    assert found.accuracy.value <= result.golden.metrics["other"]


@pytest.mark.parametrize("target", ["weights", "activations", "module-inputs"])
def test_only_real_numbers_are_differentiated(campaign, target):
    work = Workload(Reader(), [(IDS, CLASSES)], tasks.Classification(3), search=[(IDS, CLASSES)])
    assert campaign(work, mode="worst-case", target=target).cells


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_what_generates_needs_a_teacher(campaign, tiny_language_model, target):
    pytest.importorskip("regex")

    def forward(model, batch):
        return model.generate(batch, max_new_tokens=3, do_sample=False, pad_token_id=0)

    model, ids = tiny_language_model("GPT2"), torch.randint(0, 32, (2, 4))
    task, settings = tasks.Generation(prompt=4), {"mode": "worst-case", "target": target}
    with pytest.raises(FaultSimError, match="wrap the forward in faultsim"):
        campaign(Workload(model, [ids], task, forward, search=[ids]), **settings)
    taught = Workload(model, [ids], task, tasks.teacher_forced(forward), search=[ids])
    if target == "weights":
        assert campaign(taught, **settings).cells
    else:  # the teacher's one pass is none of the steps of a generation
        with pytest.raises(FaultSimError, match=r"finds no bit to rank in .* of activations"):
            campaign(taught, **settings)
