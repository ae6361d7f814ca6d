"""Whatever goes into a model and comes out of it is judged.

What is tested elsewhere: lists of detections, per-pixel labels and their figures in
tests/workload/tasks, keyword-only models and mappings in every mode in
tests/campaign/test_workloads.py, events in tests/campaign/test_events.py, models of tokens under
worst-case in tests/campaign/test_language.py.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from faultsim import Task, Workload, tasks

TARGETS = ("weights", "activations", "inputs")
G = torch.Generator().manual_seed(0)
IMAGES, CLASSES = torch.rand(6, 1, 8, 8, generator=G), torch.arange(6) % 3


def classifier(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))


@pytest.mark.parametrize(
    "data",
    [
        DataLoader(TensorDataset(IMAGES, CLASSES), 4),
        TensorDataset(IMAGES, CLASSES),
        (IMAGES, CLASSES),
        IMAGES,
        TensorDataset(IMAGES),
        DataLoader(IMAGES, 4),
    ],
    ids=["loader", "dataset", "pair", "tensor", "unlabelled dataset", "unlabelled loader"],
)
def test_data_in_any_form(campaign, data):
    for result in (
        campaign(model=classifier(), data=data),
        campaign(Workload(classifier(), data, lambda g, f, b: (g != f).any(1))),
    ):
        assert result.golden.n == len(IMAGES)


def test_samples_without_labels_are_compared_with_the_golden_run(campaign):
    result = campaign(model=classifier(), data=IMAGES, bits="30", trials=20)
    unlike = result.cells[0].events["top-1"]
    assert unlike.value == result.cells[0].rates["sdc"].value > 0


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 3)

    def forward(self, *, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(self.embed(ids).mean(1))


@pytest.mark.parametrize("target", TARGETS)
def test_an_encoding_of_a_tokenizer_goes_in_by_keyword(campaign, target):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("regex")  # without it, none of its tokenizers can be imported
    ids = torch.randint(0, 20, (3, 5))
    batch = transformers.BatchEncoding({"ids": ids, "labels": CLASSES[:3]})
    result = campaign(Workload(Keywords(), [batch], tasks.Classification(3)), target=target)
    assert result.golden.n == 3


Pair = namedtuple("Pair", "logits other")


@dataclass
class Output:
    logits: torch.Tensor
    other: torch.Tensor


class Returns(nn.Module):
    def __init__(self, make) -> None:
        super().__init__()
        self.head, self.make = nn.Linear(8, 3), make

    def forward(self, x: torch.Tensor):
        return self.make(self.head(x), x)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "make", [Pair, Output, lambda y, x: {"logits": y, "other": x}, lambda y, x: (y, [x])]
)
def test_outputs_of_any_structure(campaign, rows, make, target):
    for task in (tasks.Classification(3), lambda g, f, b: torch.zeros(6, dtype=torch.bool)):
        assert campaign(Workload(Returns(make), [rows], task), target=target).golden.n == 6


NEAR = partial(tasks.Regression, absolute=0.1)


@pytest.mark.parametrize(
    ("model", "shape", "make", "targets"),
    [
        (nn.Conv2d(1, 3, 1), (4, 1, 5, 5), tasks.Segmentation, torch.zeros(4, 5, 5).long()),
        (
            nn.Conv1d(2, 3, 3),
            (4, 2, 9),
            partial(tasks.Regression, absolute=0.1),
            torch.rand(4, 3, 7),
        ),
        (nn.Conv3d(1, 2, 2), (4, 1, 3, 3, 3), partial(tasks.Regression, absolute=0.1), None),
        (nn.Linear(7, 2), (4, 7), partial(tasks.Regression, relative=0.1), torch.rand(4, 2)),
    ],
    ids=["pixels", "one dimension", "three dimensions", "table"],
)
def test_samples_and_targets_of_any_shape(campaign, model, shape, make, targets):
    if make is tasks.Segmentation:
        pytest.importorskip("torchmetrics.segmentation", exc_type=ImportError)
    x = torch.rand(shape)
    batch = x if targets is None else (x, targets)
    for target in TARGETS:
        assert campaign(Workload(model, [batch], make()), target=target).golden.n == 4


@pytest.mark.parametrize("labels", [CLASSES % 2, (CLASSES % 2).float(), (CLASSES % 2)[:, None]])
def test_one_logit_and_a_label_a_sample(campaign, labels):
    assert campaign(model=classifier(1), data=(IMAGES, labels)).golden.n == 6


class Sum(Task):
    """An outcome of one's own."""

    def changed(self, golden, output, batch):
        gap = (output.sum(1) - golden.sum(1)).abs()
        return {"sdc": gap > 0.05 * golden.sum(1).abs(), "sum-20%": gap > 0.2 * golden.sum(1).abs()}


def test_an_outcome_of_ones_own_is_journalled_with_an_interval(campaign, rows):
    (cell,) = campaign(Workload(nn.Linear(8, 3), [rows], Sum()), trials=10).cells
    assert cell.events["sum-20%"].low is not None
    assert cell.events["sum-20%"].value <= cell.rates["sdc"].value
