"""Language models judged: an oracle that walks token by token, and the field's own loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from faultsim import Batch, tasks
from faultsim.errors import ConfigError

VOCABULARY = 7


@dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


def drawn(seed: int, n: int = 4, t: int = 5) -> tuple[torch.Tensor, Batch]:
    """Logits, and a batch with padding on either side and labels that are left out."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCABULARY, (n, t), generator=g)
    mask = torch.ones(n, t, dtype=torch.int64)
    mask[0, :1], mask[1, -2:] = 0, 0
    labels = ids.clone()
    labels[2, 1] = -100
    logits = torch.randn(n, t, VOCABULARY, generator=g)
    return logits, Batch({"input_ids": ids, "attention_mask": mask}, labels, n)


def counted(batch: Batch) -> list[tuple[int, int, int]]:
    """(row, position, the token that it is asked for), one by one."""
    mask, labels = batch.inputs["attention_mask"].tolist(), batch.targets.tolist()
    return [
        (row, at, label[at + 1])
        for row, (real, label) in enumerate(zip(mask, labels, strict=True))
        for at in range(len(real) - 1)
        if real[at] and real[at + 1] and label[at + 1] != -100
    ]


@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 4))
def test_a_token_counts_where_it_is_asked_for_and_no_padding(seed, row, at):
    logits, batch = drawn(seed)
    now = logits.clone()
    now[row, at, (int(logits[row, at].argmax()) + 1) % VOCABULARY] = 100.0
    events = tasks.LanguageModel().changed(Output(logits), Output(now), batch)
    assert list(events) == ["any-token", "next-token"]
    wanted = any((r, a) == (row, at) for r, a, _ in counted(batch))
    assert events["any-token"].tolist() == [r == row and wanted for r in range(4)]
    last = [4, 2, 4, 4]
    assert events["next-token"].tolist() == [r == row and at == last[r] for r in range(4)]
    assert next(iter(tasks.LanguageModel(last=True).changed(logits, now, batch))) == "next-token"


@given(st.integers(0, 10**6))
def test_figures_are_those_of_a_walk_over_the_tokens(seed):
    pairs = [drawn(seed), drawn(seed + 1, t=8)]
    losses, right = [], []
    for logits, batch in pairs:
        for row, at, token in counted(batch):
            scores = logits[row, at].double().tolist()
            losses.append(math.log(sum(map(math.exp, scores))) - scores[token])
            right.append(scores.index(max(scores)) == token)
    found = tasks.LanguageModel().scores(*zip(*pairs, strict=True))
    assert found["loss"] == pytest.approx(sum(losses) / len(losses))
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["token_accuracy"] == sum(right) / len(right)


def test_loss_is_the_mean_over_counted_tokens_and_has_a_gradient():
    logits, batch = drawn(3)
    logits.requires_grad_()
    task = tasks.LanguageModel()
    loss = task.loss(Output(logits), batch)
    figure = task.scores([logits.detach()], [batch])["loss"]
    assert loss.item() == pytest.approx(figure, rel=1e-6)
    (slope,) = torch.autograd.grad(loss, logits)
    places = {(row, at) for row, at, _ in counted(batch)}
    assert {tuple(place) for place in slope.any(2).nonzero().tolist()} == places


def test_labels_that_are_shifted_already_and_input_ids_that_stand_for_them():
    logits, batch = drawn(4)
    ids = batch.inputs["input_ids"]
    as_given = tasks.LanguageModel(shift=False).scores([logits], [Batch(ids, ids, 4)])
    wanted = functional.cross_entropy(logits.double().flatten(0, 1), ids.flatten())
    assert as_given["loss"] == pytest.approx(wanted.item())
    without = tasks.LanguageModel().scores([logits], [Batch(ids, None, 4)])
    wanted = functional.cross_entropy(logits[:, :-1].double().flatten(0, 1), ids[:, 1:].flatten())
    assert without["loss"] == pytest.approx(wanted.item())


def test_perplexity_is_torchmetrics():
    text = pytest.importorskip("torchmetrics.text")
    logits, batch = drawn(5)
    metric = text.Perplexity(ignore_index=-100)
    metric.update(logits, batch.targets)
    found = tasks.LanguageModel(shift=False).scores([logits], [Batch(None, batch.targets, 4)])
    assert found["perplexity"] == pytest.approx(metric.compute().item(), rel=1e-5)


def test_faulty_logits_of_any_kind_are_judged():
    logits, batch = drawn(6)
    task = tasks.LanguageModel()
    for bad in (torch.nan, torch.inf, -torch.inf):
        broken = torch.full_like(logits, bad)
        assert task.scores([broken], [batch])["token_accuracy"] == 0.0
        assert task.scores([broken], [batch])["perplexity"] is None
        task.changed(logits, broken, batch)
    huge = logits * 1e6
    assert task.scores([huge], [batch])["perplexity"] == math.inf
    short = logits[:, :3]
    assert all(flag.all() for flag in task.changed(logits, short, batch).values())
    assert set(task.scores([short], [batch]).values()) == {None}
    nothing = batch._replace(targets=torch.full_like(batch.targets, -100))
    assert set(task.scores([logits], [nothing]).values()) == {None}


IDS = torch.zeros(2, 3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("output", "batch", "message"),
    [
        (torch.rand(2, 5), Batch(IDS, None, 2), "one row a sample is a Classification"),
        ({"hidden": torch.rand(2, 3, 5)}, Batch(IDS, None, 2), "not none"),
        (torch.zeros(2, 3, 5).long(), Batch(IDS, None, 2), "real numbers"),
        (torch.rand(2, 4, 5), Batch(IDS, None, 2), r"\(2, 4, 5\), but the targets \(2, 3\)"),
        (torch.rand(2, 3, 5), Batch(torch.rand(2, 3), None, 2), "needs labels or input_ids"),
        (torch.rand(2, 3, 5), Batch(IDS, IDS + 5, 2), "label 5 is none of 5 tokens"),
    ],
)
def test_what_is_no_language_model_is_told_in_one_line(output, batch, message):
    with pytest.raises(ConfigError, match=message) as error:
        tasks.LanguageModel().check(output, batch)
    assert "\n" not in str(error.value)
