"""Batches of whatever form: what are inputs, what are targets, how many samples there are."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from faultsim.errors import ConfigError
from faultsim.workload import Batch
from faultsim.workload.batch import batch_of, read_batches

X, Y = torch.rand(7, 3), torch.arange(7)


def sizes(source, size: int = 3, limit: int | None = None) -> list[int]:
    return [batch.size for batch in read_batches(source, size, limit, whole=False)]


@pytest.mark.parametrize(
    "source",
    [
        (X, Y),
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), 3),
        list(zip(X.split(3), Y.split(3), strict=True)),
    ],
    ids=["pair", "TensorDataset", "DataLoader", "list"],
)
def test_every_form_of_pairs_gives_the_same_batches(source):
    batches = read_batches(source, 3, None, whole=False)
    assert [batch.size for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat([batch.inputs for batch in batches]), X)
    assert torch.equal(torch.cat([batch.targets for batch in batches]), Y)


def test_tensors_without_targets():
    assert (
        sizes(X) == sizes(TensorDataset(X)) == sizes(DataLoader(TensorDataset(X), 3)) == [3, 3, 1]
    )
    assert all(batch.targets is None for batch in read_batches(X, 3, None, whole=False))


def test_a_mapping_keeps_its_labels_for_the_task():
    batch = batch_of({"ids": X, "labels": Y})
    assert list(batch.inputs) == ["ids"]
    assert batch.targets is Y
    assert batch.size == 7


def test_a_forward_of_ones_own_gets_the_batch_as_it_was_given():
    item = {"ids": X, "labels": Y}
    assert batch_of(item, whole=True).inputs is item
    assert batch_of((X, Y), whole=True).targets is Y


def test_lists_of_images_have_as_many_samples_as_items():
    images = [torch.rand(3, 4, 5), torch.rand(3, 6, 7), torch.rand(3, 2, 2)]
    assert batch_of((images, [{}, {}, {}])).size == 3


@pytest.mark.parametrize("n", [1, 3, 5, 7, 50])
def test_a_limit_cuts_rows_to_the_sample(n):
    assert sum(sizes((X, Y), limit=n)) == min(n, 7)


def test_a_limit_leaves_batches_whole_whose_parts_are_not_known_to_be_samples():
    source = [{"ids": X}, {"ids": X}]
    assert sizes(source, limit=3) == [7]
    assert sizes([Batch(torch.rand(5, 2, 4), None, 2)], limit=1) == [2]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((torch.rand(5, 2, 4), torch.arange(2)), "it is not known how many samples"),
        ((X, X, Y), "3 parts, not a pair"),
        ({"ids": "text"}, "it is not known how many samples"),
        (torch.tensor(1.0), "it is not known how many samples"),
    ],
)
def test_what_is_not_known_is_told_with_the_number_of_the_batch(item, message):
    with pytest.raises(ConfigError, match=f"batch 1: .*{message}"):
        read_batches([X, item], 3, None, whole=False)


@pytest.mark.parametrize("source", [7, (X, Y, X), (X, Y[:3])])
def test_what_yields_no_batches_is_refused(source):
    with pytest.raises(ConfigError, match=r"batches cannot be|a pair of inputs"):
        read_batches(source, 3, None, whole=False)


def test_an_error_of_a_loader_is_told():
    def broken():
        yield X
        raise OSError("disk gone")

    with pytest.raises(ConfigError, match="the batches cannot be read: disk gone"):
        read_batches(broken(), 3, None, whole=False)
