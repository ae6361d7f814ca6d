"""Multi: what it says of several heads is what their tasks say of each."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch import nn

from faultsim import Batch, Task, Workload, tasks
from faultsim.errors import ConfigError

Heads = namedtuple("Heads", ["kind", "sick"])


class Size(Task):
    """A regression without a loss."""

    objective = "closeness"

    def changed(self, golden, output, batch: Batch) -> torch.Tensor:
        return ((golden - output).abs() > 0.5).flatten(1).any(1)

    def scores(self, outputs, batches):
        return {"closeness": -sum(float(o.abs().sum()) for o in outputs)}

    def deviations(self, golden, outputs, batches):
        return {
            "gap": max(float((g - o).abs().max()) for g, o in zip(golden, outputs, strict=True))
        }


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


KIND, SICK = tasks.Classification(3), tasks.Classification(2, positive=1)
TARGETS = {"kind": torch.arange(6) % 3, "sick": torch.arange(6) % 2}
BATCH = Batch(None, TARGETS, 6)
WAS, NOW = ({"kind": random(k, 6, 3), "sick": random(k + 2, 6)} for k in (0, 1))


def test_a_sample_is_corrupted_when_any_head_is():
    task = tasks.Multi({"kind": KIND, "sick": SICK})
    task.check(WAS, BATCH)
    found = task.changed(WAS, NOW, BATCH)
    parts = {
        name: each.changed(WAS[name], NOW[name], Batch(None, TARGETS[name], 6))
        for name, each in (("kind", KIND), ("sick", SICK))
    }
    wanted = [a or b for a, b in zip(*(p["top-1"].tolist() for p in parts.values()), strict=True)]
    assert found["sdc"].tolist() == wanted
    for name, events in parts.items():
        for event, flags in events.items():
            assert torch.equal(found[f"{name}.{event}"], flags)
    assert len(found) == 1 + sum(map(len, parts.values()))


def test_figures_carry_the_name_of_their_head():
    task = tasks.Multi({"kind": KIND, "sick": SICK})
    scores = task.scores([NOW, WAS], [BATCH, BATCH])
    for name, each in (("kind", KIND), ("sick", SICK)):
        own = Batch(None, TARGETS[name], 6)
        for figure, value in each.scores([NOW[name], WAS[name]], [own, own]).items():
            assert scores[f"{name}.{figure}"] == value
    assert task.probe([NOW], [BATCH])["kind.auc"] is None
    assert task.deviations([WAS], [NOW], [BATCH]) == {}
    size = tasks.Multi({"kind": KIND, "size": Size()}, outputs={"size": "sick"})
    gap = float((WAS["sick"] - NOW["sick"]).abs().max())
    assert size.deviations([WAS], [NOW], [BATCH]) == {"size.gap": gap}


def test_the_loss_is_the_weighted_sum():
    parts = [
        each.loss(NOW[name], Batch(None, TARGETS[name], 6))
        for name, each in (("kind", KIND), ("sick", SICK))
    ]
    heads = {"kind": KIND, "sick": SICK}
    for weights, factors in (
        (None, (1, 1)),
        ({"kind": 0.5, "sick": 2}, (0.5, 2)),
        ({"sick": 3}, (0, 3)),
    ):
        wanted = sum(factor * loss for factor, loss in zip(factors, parts, strict=True))
        assert torch.allclose(tasks.Multi(heads, weights=weights).loss(NOW, BATCH), wanted)
    with pytest.raises(ConfigError, match="head size has no loss"):
        tasks.Multi({"kind": KIND, "size": Size()}, outputs={"size": "sick"}).loss(NOW, BATCH)


@pytest.mark.parametrize(
    ("output", "targets", "where"),
    [
        ((NOW["kind"], NOW["sick"]), (TARGETS["kind"], TARGETS["sick"]), {}),
        (Heads(**NOW), TARGETS, {}),
        (
            {"a": NOW["kind"], "b": [NOW["sick"]]},
            torch.stack([*TARGETS.values()], 1),
            {
                "outputs": {"kind": "a", "sick": "b.0"},
                "targets": {"kind": lambda t: t[:, 0], "sick": lambda t: t[:, 1]},
            },
        ),
    ],
    ids=["positions", "names", "said"],
)
def test_each_head_gets_its_part(output, targets, where):
    task, batch = tasks.Multi({"kind": KIND, "sick": SICK}, **where), Batch(None, targets, 6)
    task.check(output, batch)
    wanted = tasks.Multi({"kind": KIND, "sick": SICK}).scores([NOW], [BATCH])
    assert task.scores([output], [batch]) == wanted
    assert len(task.samples(output, 6)) == 6


@pytest.mark.parametrize(
    ("chosen", "objective", "chance"),
    [
        (None, "kind.acc", 1 / 3),
        ("sick", "sick.acc", 0.5),
        ("sick.sensitivity", "sick.sensitivity", 0),
    ],
)
def test_the_objective_is_the_first_heads_or_chosen(chosen, objective, chance):
    task = tasks.Multi({"kind": KIND, "sick": SICK}, objective=chosen)
    assert (task.objective, task.chance) == (objective, chance)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.Multi({}), "there is none"),
        (lambda: tasks.Multi({"a": KIND}, weights={"b": 1}), "no head 'b', but a"),
        (lambda: tasks.Multi({"a": KIND}, objective="acc"), "neither a head"),
        (lambda: tasks.Multi({"a": KIND}).check(NOW, BATCH), "head a: .* nothing called a"),
        (lambda: tasks.Multi({"kind": KIND}).check(NOW, Batch(None, None, 6)), "no labels"),
        (
            lambda: tasks.Multi({"kind": KIND}).check(NOW, BATCH._replace(targets=TARGETS["kind"])),
            "the targets are one tensor",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


class Twins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.kind, self.sick = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.tanh(self.body(x))
        return {"kind": self.kind(hidden), "sick": self.sick(hidden)}


def test_campaigns(campaigns):
    torch.manual_seed(0)
    batches = [
        (random(n, n, 5), {"kind": torch.arange(n) % 3, "sick": torch.arange(n) % 2})
        for n in (6, 4)
    ]
    task = tasks.Multi({"kind": KIND, "sick": SICK})
    for line in campaigns(Workload(Twins(), batches, task, search=batches), search=True):
        assert line["sdc"] >= max(line["events"][f"{name}.top-1"] for name in ("kind", "sick"))
        assert line["metrics"].keys() >= {"kind.acc", "sick.acc", "kind.loss"}
