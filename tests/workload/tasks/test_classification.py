"""Classification: events against loops over samples, one logit, logits anywhere."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from faultsim import Batch, tasks
from faultsim.errors import ConfigError


def random(seed: int, *shape: int, ties: bool = False) -> torch.Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return values.mul(2).round() if ties else values


def labelled(targets: torch.Tensor) -> Batch:
    return Batch(torch.empty(len(targets)), targets, len(targets))


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def events_of(was: list[float], now: list[float]) -> dict[str, bool]:
    """Of one sample, from the definitions."""
    before, after = softmax(was), softmax(now)
    first = now.index(max(now))
    order = sorted(range(len(was)), key=lambda k: (-was[k], k))
    change = abs(max(after) - max(before)) / max(before)
    return {
        "top-1": first != was.index(max(was)),
        "top-5": first not in order[:5],
        "confidence-10%": change > 0.1,
        "confidence-20%": change > 0.2,
    }


@given(st.integers(2, 9), st.booleans(), st.integers(0, 1000))
def test_events_are_those_of_the_definitions(classes, ties, seed):
    was = random(seed, 12, classes, ties=ties)
    now = was + random(seed + 1, 12, classes, ties=ties) * 0.5
    found = tasks.Classification().changed(was, now, labelled(torch.zeros(12).long()))
    pairs = zip(was.tolist(), now.tolist(), strict=True)
    wanted = [events_of(*pair) for pair in pairs]
    assert list(found) == list(wanted[0])
    for name, flags in found.items():
        assert flags.tolist() == [row[name] for row in wanted], name


@pytest.mark.parametrize("shape", [(8,), (8, 1)])
@pytest.mark.parametrize("as_targets", [torch.Tensor.long, torch.Tensor.float, torch.Tensor.bool])
def test_one_logit_is_two_classes(shape, as_targets):
    task, labels = tasks.Classification(2, positive=1), random(5, 8) > 0
    was, now = random(0, 8), random(1, 8)
    now[2] = torch.nan
    batch = labelled(as_targets(labels.to(torch.uint8)).reshape(shape))
    output = now.reshape(shape)
    task.check(output, batch)
    found = task.changed(was.reshape(shape), output, batch)
    finite = now.isfinite()
    assert found["top-1"][finite].tolist() == ((was > 0) != (now > 0))[finite].tolist()
    scores = task.scores([output], [batch])
    right = ((now > 0) == labels) & finite
    assert scores["correct"] == int(right.sum())
    assert scores["sensitivity"] == float(right[labels].double().mean())
    loss = task.loss(was.reshape(shape), batch)
    wanted = nn.functional.binary_cross_entropy_with_logits(was, labels.float())
    assert torch.allclose(loss, wanted)


def test_logits_lie_where_they_are_said_to():
    logits, other = random(0, 4, 3), random(1, 4, 3)
    labels = labelled(torch.arange(4) % 3)
    output = {"aux": other, "heads": [{"scores": logits}]}
    wanted = tasks.Classification(3).scores([logits], [labels])
    for where in ("heads.0.scores", lambda output: output["heads"][0]["scores"]):
        task = tasks.Classification(3, logits=where)
        task.check(output, labels)
        assert task.scores([output], [labels]) == wanted
        assert torch.equal(task.samples(output, 4), logits)


def test_several_labels_have_the_one_event():
    was, now = random(0, 6, 4), random(1, 6, 4)
    batch = labelled((random(2, 6, 4) > 0).float())
    task = tasks.Classification(multi_label=True)
    task.check(was, batch)
    wanted = [a != b for a, b in zip((was > 0).tolist(), (now > 0).tolist(), strict=True)]
    assert task.changed(was, now, batch).tolist() == wanted


@pytest.mark.parametrize(
    ("task", "logits", "targets", "message"),
    [
        ({}, torch.rand(4, 3), torch.rand(4), "labels must be whole numbers"),
        ({}, torch.rand(4, 3), torch.zeros(4, 3).long(), r"labels are \(4, 3\), not \(4,\)"),
        ({"num_classes": 3}, torch.rand(4, 1), torch.zeros(4).long(), "has 3 classes"),
        ({"multi_label": True}, torch.rand(4, 3), torch.zeros(4).long(), r"not \(4, 3\)"),
        ({"logits": "head"}, {"out": torch.rand(4, 3)}, torch.zeros(4).long(), "no 'head'"),
    ],
)
def test_what_does_not_fit_is_one_line(task, logits, targets, message):
    with pytest.raises(ConfigError, match=message):
        tasks.Classification(**task).check(logits, labelled(targets))
