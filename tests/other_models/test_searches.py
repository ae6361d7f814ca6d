"""Worst-case searches of what is no float32 classifier of images.

What is tested elsewhere: models of tokens, `generate` and its teacher in
tests/campaign/test_language.py.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import Batch, FaultSet, FaultSimError, Workload, tasks
from faultsim.run.gradients import Gradients

IDS = torch.randint(0, 20, (6, 5), generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(6) % 3


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(ids).mean(1))


class Towards(tasks.Classification):
    """A targeted attack (TBT): all is to be of one class."""

    objective = "other"
    aim = 0

    def loss(self, output, batch):
        return -super().loss(
            output, batch._replace(targets=torch.full_like(batch.targets, self.aim))
        )

    def scores(self, outputs, batches):
        return {"other": float((torch.cat(list(outputs)).argmax(1) != self.aim).double().mean())}

    probe = scores


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_search_may_aim_at_a_class(campaign, target):
    model, task = Reader(), Towards(3)
    with torch.no_grad():
        task.aim = int(model(IDS).sum(0).argmin())
    work = Workload(model, [(IDS, CLASSES)], task, search=[(IDS, CLASSES)])
    result = campaign(work, mode="worst-case", target=target, flips=(3,))
    found = next(cell for cell in result.cells if cell.cell["curve"] == "worst-case")
    assert found.accuracy.value < result.golden.metrics["other"]


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


class Small(nn.Module):
    """Weights of one byte and a scale, dequantised in the forward."""

    def __init__(self, dtype: torch.dtype, dequantise) -> None:
        super().__init__()
        torch.manual_seed(0)
        values = torch.randint(-90, 90, (3, 8)) if dtype == torch.int8 else torch.rand(3, 8) + 0.5
        self.weight = nn.Parameter(values.to(dtype), requires_grad=False)
        self.register_buffer("scale", torch.tensor(0.02))
        self.dequantise = dequantise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.dequantise(self.weight, self.scale)


ONE_BYTE = ("int8", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
            "float8_e8m0fnu")  # fmt: skip


@pytest.mark.parametrize("name", ONE_BYTE)
@pytest.mark.parametrize(
    "dequantise",
    [
        lambda w, s: (w.float() * s).T,
        lambda w, s: w.t().to(torch.float32) * s,
        lambda w, s: nn.functional.linear(torch.eye(8), w.to(s.dtype), None) * s,
    ],
    ids=["float", "to", "linear"],
)
def test_words_of_one_byte_are_ranked_by_the_gradient_of_their_values(
    campaign, rows, name, dequantise
):
    dtype = getattr(torch, name, None)
    if dtype is None:
        pytest.skip(f"this torch has no {name}")
    model, task = Small(dtype, dequantise), tasks.Classification(3)
    work = Workload(model, [rows], task, search=[rows])
    x, y = rows
    values = model.weight.float().requires_grad_()
    task.loss(x @ (values * model.scale).T, Batch(x, y, len(x))).backward()
    found = Gradients(work, Batch(x, y, len(x))).of_weights(FaultSet.of(()))
    torch.testing.assert_close(found["weight"], values.grad)
    cells = campaign(work, mode="worst-case", include=("weight",)).cells
    assert {cell.cell["curve"] for cell in cells} >= {"worst-case", "random"}
