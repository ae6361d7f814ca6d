"""Samples move to other rows of a pass only where all that its operators return is bit for bit."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from faultsim import FaultSpace, Workload, inject
from faultsim.run.carried.inferences import Inferences
from faultsim.run.carried.moved import is_coarse
from faultsim.run.carried.pass_ import CarriedPass
from faultsim.run.engine import make_engine
from faultsim.run.golden import golden_run
from faultsim.targets.layouts import LARGE
from faultsim.workload.outputs import identical

SIZE = 64


class Rounded(nn.Module):
    """Hidden values are a little larger in batches of few rows; the golden output hides that."""

    def __init__(self, more: float) -> None:
        super().__init__()
        self.first, self.head, self.more = nn.Linear(8, 16), nn.Linear(16, 4), more

    def forward(self, x):
        hidden = self.first(x) + self.more * (SIZE - len(x))
        return self.head(hidden).round()


def corrupted(golden, output, batch):
    return (golden != output).flatten(1).any(1)


def whole(tensor):
    """Small whole numbers, whose sums are the same in the order of any kernel."""
    with torch.no_grad():
        return tensor.copy_(torch.randint(-2, 3, tensor.shape))


def rows_of_passes(model, x, monkeypatch):
    """How many rows carried passes have; each sample is checked against the real flip."""
    for tensor in (x, *model.parameters()):
        whole(tensor)
    work = Workload(model, x, corrupted)
    batches = work.read("test", SIZE)
    engine = make_engine(work, batches, torch.device("cpu"), replay=False)
    runs = Inferences(work, golden_run(work, batches, engine), measured=False)
    space = FaultSpace(model, include=("head.weight",), bits="exponent")
    pairs = [(space.sample(1, seed=0, trial=n), 7 * n % SIZE) for n in range(5)]
    rows, begin = [], CarriedPass.__init__
    monkeypatch.setattr(
        CarriedPass, "__init__", lambda *given: rows.append(given[4]) or begin(*given)
    )
    for (faults, sample), inference in zip(pairs, runs.run(pairs), strict=True):
        with torch.no_grad(), inject(model, faults):
            real = model(x)
        assert identical(real[sample : sample + 1], inference.output)
    return {row for row in rows if row != LARGE}  # those are weights that are tried


@pytest.mark.parametrize("more", [0.0, 1e-6])
def test_what_a_rounded_output_hides_is_seen_in_the_operators(more, monkeypatch):
    torch.manual_seed(0)
    rows = rows_of_passes(Rounded(more).eval(), torch.randn(SIZE, 8), monkeypatch)
    assert rows == ({SIZE} if more else {8})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_words_of_few_digits_hide_an_order_of_sums(dtype, monkeypatch):
    torch.manual_seed(0)
    layers = {"first": nn.Linear(8, 16), "middle": nn.ReLU(), "head": nn.Linear(16, 4)}
    model = nn.Sequential(OrderedDict(layers)).eval().to(dtype)
    x = torch.randn(SIZE, 8).to(dtype)
    assert rows_of_passes(model, x, monkeypatch) == ({8} if dtype == torch.float32 else {SIZE})


class TimeFirst(nn.Module):
    """Its samples lie along the second dimension, and folded into one."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x):
        steps = torch.relu(self.cell(x.transpose(0, 1)))
        return self.head(steps.flatten(0, 1)).unflatten(0, (-1, len(x))).sum(0)


def test_samples_are_found_along_any_dimension(monkeypatch):
    torch.manual_seed(0)
    rows = rows_of_passes(TimeFirst().eval(), torch.randn(SIZE, 5, 6), monkeypatch)
    assert rows == {8}


COARSE = (torch.float16, torch.bfloat16, torch.complex32, torch.quint8)


@pytest.mark.parametrize("dtype", COARSE, ids=str)
def test_half_of_a_complex_number_and_a_quantised_one_are_rounded_too(dtype):
    if dtype == torch.quint8:
        tensor = torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, dtype)
    else:
        tensor = torch.zeros(2, dtype=dtype)
    assert is_coarse(tensor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.int64])
def test_what_shows_an_order_of_sums_or_has_none_is_not(dtype):
    assert not is_coarse(torch.zeros(2, dtype=dtype))
