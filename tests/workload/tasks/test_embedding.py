"""Embeddings by their angle: against SciPy's cosine distance."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from faultsim import Batch, tasks
from faultsim.errors import ConfigError

NOTHING = Batch(None, None, 4)


@given(st.integers(0, 1000), st.sampled_from([0.05, 0.5, 1.0]))
def test_a_sample_is_corrupted_beyond_the_distance(seed, bound):
    g = torch.Generator().manual_seed(seed)
    was, now, gallery = (torch.randn(n, 6, generator=g) for n in (4, 4, 5))
    now[:2] = was[:2] + 0.1 * now[:2]
    task = tasks.Embedding(bound, gallery=gallery)
    events = task.changed(was, {"embeddings": now}, NOTHING)
    apart = cdist(was, now, "cosine").diagonal()
    assert events["sdc"].tolist() == (apart > bound).tolist()
    near = [cdist(each, gallery, "cosine").argmin(1) for each in (was, now)]
    assert events["nearest"].tolist() == (near[0] != near[1]).tolist()
    found = task.deviations([was], [now], [NOTHING])["golden_similarity"]
    assert found == pytest.approx(1 - apart.mean())
    assert task.scores([now], [Batch(None, was, 4)])["similarity"] == pytest.approx(found)
    match = torch.from_numpy(near[0])
    recall = task.scores([now], [Batch(None, match, 4)])["recall"]
    assert recall == (near[0] == near[1]).mean()


def test_neither_length_nor_size_of_numbers_counts():
    was = torch.eye(4)
    for scale in (1e-38, 3.0, 1e38):
        assert not tasks.Embedding(0.001).changed(was, was * scale, NOTHING)["sdc"].any()
    zeros = torch.zeros(4, 4)
    assert not tasks.Embedding(0.1).changed(zeros, zeros, NOTHING)["sdc"].any()
    assert tasks.Embedding(0.1).changed(was, zeros, NOTHING)["sdc"].all()


@pytest.mark.parametrize("targets", [torch.eye(4), torch.tensor([0, 1, 2, 3]), None])
def test_a_step_up_the_loss_moves_embeddings_away(targets):
    task = tasks.Embedding(gallery=torch.eye(4))
    found = (torch.eye(4) + 0.1 * torch.rand(4, 4)).requires_grad_()
    batch = Batch(None, targets, 4)
    (slope,) = torch.autograd.grad(task.loss(found, batch), found)
    moved = found.detach() + 0.5 * slope
    assert slope.any()
    near = task.deviations([torch.eye(4)], [found.detach()], [NOTHING])["golden_similarity"]
    assert task.deviations([torch.eye(4)], [moved], [NOTHING])["golden_similarity"] < near


def test_a_single_sample_without_targets_has_no_loss():
    with pytest.raises(ConfigError, match="needs targets, or two samples"):
        tasks.Embedding().loss(torch.rand(1, 3), Batch(None, None, 1))


def test_faulty_embeddings_of_any_kind_are_judged():
    was = torch.eye(4)
    task = tasks.Embedding(gallery=torch.eye(4))
    known = Batch(None, torch.arange(4), 4)
    for bad in (torch.nan, torch.inf):
        broken = torch.full_like(was, bad)
        assert task.changed(was, broken, known)["sdc"].all()
        assert task.scores([broken], [known]) == {"similarity": None, "recall": 0.0}
        assert task.deviations([was], [broken], [known]) == {"golden_similarity": None}
    other = torch.rand(4, 3)
    assert all(flag.all() for flag in task.changed(was, other, known).values())
    assert task.scores([other], [known]) == {"similarity": None, "recall": 0.0}
    assert task.deviations([], [], []) == {"golden_similarity": None}


@pytest.mark.parametrize(
    ("output", "targets", "message"),
    [
        (torch.rand(2, 3, 4), None, "embeddings are"),
        (torch.ones(2, 4).long(), None, "real numbers"),
        (torch.rand(2, 3), None, "the gallery"),
        (torch.rand(2, 4), torch.rand(2, 3), "but targets"),
        (torch.rand(2, 4), torch.tensor([0, 9]), "rows of a gallery"),
        (torch.rand(2, 4), [0, 1], "a tensor, a row a sample"),
    ],
)
def test_what_is_no_embedding_is_told_in_one_line(output, targets, message):
    with pytest.raises(ConfigError, match=message):
        tasks.Embedding(gallery=torch.eye(4)).check(output, Batch(None, targets, 2))


def test_bounds_and_galleries_that_are_none():
    with pytest.raises(ConfigError, match="from 0 to 2"):
        tasks.Embedding(3.0)
    with pytest.raises(ConfigError, match="a gallery is"):
        tasks.Embedding(gallery=torch.ones(3))
