"""Samples that differ in shape from batch to batch: every one is struck, at any of its elements."""

from __future__ import annotations

from collections import Counter
from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from faultsim import Batch, CampaignConfig, FaultSet, FaultSpace, Workload, inject, run_campaign
from faultsim.faults import Site
from faultsim.run.ragged import common_shapes
from faultsim.targets.inputs import Sizes
from faultsim.targets.samples import strikes

SIZES = (4, 6), (7, 3), (5, 5)


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.act = nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.act(self.conv(images) + 0.5).mean((2, 3))


class OfLists(Convolution):
    def forward(self, images: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([super(OfLists, self).forward(image[None]) for image in images])


BATCHES = [torch.rand(n, 1, h, w) for n, (h, w) in zip((2, 3, 1), SIZES, strict=True)]
LISTS = [[torch.rand(1, h, w) for h, w in SIZES], [torch.rand(1, 9, 2), torch.rand(1, 2, 2)]]


def work_of(target: str, listed: bool) -> Workload:
    batches = [Batch(images, None, len(images)) for images in (LISTS if listed else BATCHES)]
    return Workload(
        OfLists() if listed else Convolution(), batches, lambda g, f, b: (g != f).any(1)
    )


def space_of(work: Workload, target: str, bits: str = "all") -> FaultSpace:
    batches = work.read("test")
    found = FaultSpace(work.model, target, bits, inputs=batches[0].inputs, run=work.run)
    return common_shapes(work, batches, found, torch.device("cpu"))


@pytest.mark.parametrize("target", ["activations", "inputs", "module-inputs", "operations"])
@pytest.mark.parametrize("listed", [False, True])
def test_campaigns_run_with_replay_and_without_alike(tmp_path, target, listed):
    journals = []
    for replay in (True, False):
        out = tmp_path / f"{replay}"
        config = CampaignConfig(
            mode="random", trials=30, flips=(1, 3), bits="30", target=target, out=str(out),
            replay=replay,
        )  # fmt: skip
        run_campaign(config, work_of(target, listed))
        journals.append((out / "trials-0.jsonl").read_text())
    assert journals[0] == journals[1]
    assert '"masked":' in journals[0]


@pytest.mark.parametrize("target", ["inputs", "activations"])
def test_every_sample_is_struck_at_each_of_its_elements_alike(target):
    """All faults of a space: each bit of each sample is as likely as any other of that sample."""
    work = work_of(target, False)
    space = space_of(work, target).filter(lambda site, bit: site.name in ("(input)", "conv"))
    (site,) = space.sites
    assert site.ragged
    assert site.shape[-2:] == (7, 6)
    everything = FaultSet(space.sites, 0, np.repeat(np.arange(site.numel), 32), np.tile(
        (1 << np.arange(32, dtype=np.int64)), site.numel
    ))  # fmt: skip
    for h, w in SIZES:
        struck: Counter[int] = Counter()
        for row in range(0, len(everything)):
            rows, at = strikes(
                site,
                everything[row : row + 1],
                (1, *site.shape[:-2], h, w),
                0,
                Sizes(1, frozenset()),
            )
            assert list(rows) == [0]
            struck[int(at[0])] += 1
        elements = prod((*site.shape[:-2], h, w))
        assert set(struck) == set(range(elements))
        mean = len(everything) / elements
        assert max(abs(count - mean) for count in struck.values()) < 0.15 * mean


@pytest.mark.parametrize("listed", [False, True])
def test_each_fault_strikes_one_word_of_each_sample(listed):
    work = work_of("inputs", listed)
    space = space_of(work, "inputs", "sign")
    for trial in range(20):
        faults = space.sample(4, seed=0, trial=trial)
        with inject(work.model, faults) as injector:
            for batch in work.read("test"):
                fed = injector.feed(batch.inputs)
                for image, golden in zip(fed, batch.inputs, strict=True):
                    words = image.view(torch.int32) != golden.view(torch.int32)
                    assert words.sum() == min(4, words.numel())
                injector.advance(batch.size)


def test_an_element_that_a_sample_has_is_the_one_struck():
    site = Site("x", "activations", "float32", (5, 5), ragged=True)
    faults = FaultSet([site], 0, np.arange(25), 1)
    _, at = strikes(site, faults, (2, 5, 5), 0, Sizes(2, frozenset()))
    assert sorted(at.tolist()) == list(range(50))
    _, at = strikes(site, faults[np.array([7, 24])], (1, 3, 5), 0, Sizes(1, frozenset()))
    assert at[0] == 7
    assert at[1] != 7


def test_batches_that_differ_in_size_alone_leave_the_space_as_it_is():
    images = [torch.rand(n, 1, 4, 4) for n in (4, 4, 1)]
    work = Workload(Convolution(), images, lambda g, f, b: (g != f).any(1))
    found = FaultSpace(work.model, "activations", inputs=images[0])
    assert common_shapes(work, work.read("test"), found, torch.device("cpu")) is found


def test_a_search_ranks_elements_by_their_number_in_the_largest_sample(tmp_path):
    class Judge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Convolution()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images)

    from faultsim import tasks

    pairs = [(x, torch.zeros(len(x), dtype=torch.int64)) for x in BATCHES]
    work = Workload(Judge(), pairs, tasks.Classification(2), search=pairs)
    config = CampaignConfig(
        mode="worst-case", trials=2, flips=(2,), target="activations", out=str(tmp_path / "x")
    )
    cells = run_campaign(config, work).cells
    assert {cell.cell["curve"] for cell in cells} >= {"worst-case", "random"}
