"""Batches of any form, and what a pass over altered samples needs of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.faults import Fault
from faultsim.targets.inputs import Arguments, Samples, other_content, readings, sizes_of


class Tokens(nn.Module):
    """Token ids and a mask of as many rows as there may be tokens, by keyword only."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, *, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        mixed = torch.einsum("ts,bsd->btd", mask, self.embed(ids))
        return {"logits": self.head(mixed)}


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_keyword_arguments_tokens_and_a_mask_of_the_batch_s_size(batch):
    model = Tokens()
    inputs = {"ids": torch.arange(batch * 5).view(batch, 5) % 9, "mask": torch.rand(5, 5)}
    space = FaultSpace(model, "activations", inputs=inputs)
    assert {site.name: site.shape for site in space.sites} == {"embed": (5, 4), "head": (5, 3)}
    assert space.whole == {}
    golden = model(**inputs)["logits"]
    with inject(model, FaultSet.of([Fault(space.sites[1], 4, 1 << 31)])):
        struck = model(**inputs)["logits"] != golden
    assert struck.nonzero().tolist() == [[n, 1, 1] for n in range(batch)]


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, pair, extra):
        return self.left(pair[0]) + self.right(pair[1]["x"]) * extra


def test_trees_of_arguments():
    inputs = ((torch.rand(3, 3), {"x": torch.rand(3, 2)}), 2.0)
    space = FaultSpace(Nested(), "activations", inputs=inputs)
    assert {site.name: site.shape for site in space.sites} == {
        "left": (4,),
        "right": (4,),
        "(root)": (4,),
    }
    assert space.whole == {}


def test_a_mapping_that_is_no_keyword_arguments_is_one_argument():
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, sample):
            return self.fc(sample["x"])

    space = FaultSpace(Reads(), "activations", inputs={"x": torch.rand(4, 3)})
    assert [site.shape for site in space.sites] == [(2,)]


def test_lists_of_samples():
    class Ragged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, items: list[torch.Tensor]) -> torch.Tensor:
            return self.fc(torch.stack([item.view(-1, 3).mean(dim=0) for item in items]))

    items = [torch.rand(n, 3) for n in (2, 4, 1)]
    space = FaultSpace(Ragged(), "activations", inputs=(items,))
    assert [(site.name, site.shape, site.per_sample) for site in space.sites] == [
        ("fc", (2,), True)
    ]


def test_samples_are_picked_and_altered_in_memory_of_their_own():
    x, tokens = torch.arange(12.0).view(4, 3), torch.arange(8).view(4, 2)
    samples, *_ = readings(Arguments((x,), {"tokens": tokens, "scale": torch.tensor(2.0)}))
    (picked,), others = samples.take([0, 1, 2], altered=1)
    assert picked.tolist() == x[[0, 3, 2]].tolist()
    assert others["tokens"].tolist() == tokens[[0, 3, 2]].tolist()
    picked.zero_()
    assert x[0, 1] == 1
    alone = Samples(Arguments((x[:1],), {}), 1)
    (made,), _ = alone.take([0, 0, 0], altered=1)
    assert made[[0, 2]].tolist() == x[[0, 0]].tolist()
    assert (made[1] != x[0]).all()


@pytest.mark.parametrize(
    "sample",
    [
        torch.zeros(3),
        torch.full((2,), 0.5),
        torch.tensor([4, 4]),
        torch.tensor([0, 0]),
        torch.ones(2, dtype=torch.cfloat),
    ],
)
def test_other_content_differs(sample):
    assert not torch.equal(other_content(sample), sample)
    assert other_content(sample).dtype == sample.dtype


def test_masks_of_ones_stay():
    mask = torch.ones(4, dtype=torch.int64)
    assert torch.equal(other_content(mask), mask)


def test_the_sizes_a_batch_may_have():
    sizes = sizes_of((torch.rand(4, 3), [torch.rand(2), torch.rand(2)]))
    assert sizes.leading == 4
    assert all(map(sizes.may_be, (4, 3, 2)))
    assert not sizes.may_be(5)
    assert sizes_of(()).may_be(9)
