"""Events drawn from a fault model: the mixture, uniform places, the streams."""

from __future__ import annotations

import copy
import pickle
from collections import Counter

import msgspec
import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from faultsim import FaultSpace, inject
from faultsim.errors import FaultError
from faultsim.faultmodels import FaultModel, Sampler, load_fault_model
from faultsim.faultmodels.numbers import Numbers, poisson
from faultsim.faults.patterns import Extent


def made(*events: dict, **fields) -> FaultModel:
    table = {"source": "a test", "event": list(events), "name": "mine", **fields}
    return msgspec.convert(table, FaultModel)


def one(pattern: str, probability: float = 1.0, **fields) -> dict:
    return {"probability": probability, "pattern": pattern, **fields}


def sampler(model: nn.Module, *events: dict, **space) -> Sampler:
    return Sampler(made(*events), FaultSpace(model, **space), model)


def test_a_mixture_is_recovered(model):
    """10⁵ draws, with a distribution of widths inside one kind."""
    draws = sampler(
        model,
        one("bit", 0.7),
        one("adjacent-bits", 0.2, width={"2": 0.75, "3": 0.25}),
        one("byte", 0.1),
    )
    n = 100_000
    extent = Extent((8,), 32, tuple(range(32)))
    chosen = (draws.choose(Numbers(1, trial, 0, 0))[0] for trial in range(n))
    seen = Counter(event.said(extent) for event in chosen)
    wanted = {"1 bit": 0.7, "2 adjacent bits": 0.15, "3 adjacent bits": 0.05, "1 byte": 0.1}
    assert set(seen) == set(wanted)
    assert chisquare([seen[k] for k in wanted], [n * p for p in wanted.values()]).pvalue > 1e-3


@pytest.mark.parametrize(
    "event",
    [
        one("bit"),
        one("adjacent-bits", width=5),
        one("adjacent-bits", width=40, within="tensor"),
        one("byte"),
        one("word"),
        one("line", bytes=8),
        one("line", bytes=32, cut=True),
        one("dram-beat", pins=16),
        one("dram-pin", pins=16, burst=4),
        one("dram-row", row_bytes=32, pins=64),
        one("dram-column", row_bytes=8, pins=16, rows=2),
        one("lane", warp=4),
        one("warp", warp=4),
        one("scattered-bits", count=2, bytes=1),
        one("systolic", unit="element", dataflow="weight-stationary", rows=2, columns=2,
            features="first"),
        one("channel", bits=1),
        one("tile", size=[3, 3]),
    ],
    ids=lambda event: event["pattern"],
)  # fmt: skip
def test_places_are_drawn_uniformly(event):
    """Over all places of all tensors: some 20 classes of them, by their number."""
    torch.manual_seed(0)
    draws, n = sampler(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 4)), event), 2000
    ends = draws._kinds[0].ends
    starts, total = [0, *ends], ends[-1]
    classes = np.array_split(np.arange(total), min(20, total)) if total < 10**6 else []
    bounds = [part[-1] for part in classes]
    seen: Counter[int] = Counter()
    for trial in range(n):
        _, row, place = draws.choose(Numbers(3, trial, 0, 0))
        seen[int(np.searchsorted(bounds, starts[row] + place))] += 1
    wanted = [n * len(part) / total for part in classes]
    assert chisquare([seen[c] for c in range(len(classes))], wanted).pvalue > 1e-3


def test_every_line_is_struck_as_often_as_another():
    """Drawn to the end: which words, not only which number."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(8, 4, bias=False))
    draws = sampler(model, one("line", bytes=16))
    faults = (draws.draw(1, seed=3, trial=trial) for trial in range(1200))
    seen = Counter((each.sites[0].name, *each.index.tolist()) for each in faults)
    assert len(seen) == 12
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_fewer_events_are_a_prefix_and_none_overlap(model):
    draws = Sampler(load_fault_model("hbm2"), FaultSpace(model), model)
    few, many = draws.draw(2, seed=5, trial=9), draws.draw(6, seed=5, trial=9)
    assert many[: len(few)] == few
    assert many.events[:2] == few.events
    words = list(zip(many.site.tolist(), many.index.tolist(), strict=True))
    assert len(set(words)) == len(words)
    assert draws.draw(6, seed=5, trial=9) == many
    assert draws.draw(6, seed=6, trial=9) != many


def test_no_room_is_said():
    model = nn.Linear(2, 1, bias=False)
    with pytest.raises(FaultError, match="no room for 3 events"):
        sampler(model, one("word")).draw(3, seed=0)


def test_what_fits_nowhere_is_said(model):
    with pytest.raises(FaultError, match=r"fault model mine: row of 32 × 8 words fits nowhere in "):
        sampler(model, one("dram-row", row_bytes=1024))
    with pytest.raises(FaultError, match="of which 8 may be struck"):
        sampler(model, one("byte"), bits="exponent")


def test_density_leaves_random_data(model):
    draws = sampler(model, one("byte", density=0.5, least=2))
    bits = [draws.draw(1, seed=2, trial=trial).flips for trial in range(2000)]
    chances = np.array([28, 56, 70, 56, 28, 8, 1]) / 247  # 2 to 8 of 8 bits
    seen = [bits.count(n) for n in range(2, 9)]
    assert sum(seen) == 2000
    found, wanted = [*seen[:5], sum(seen[5:])], [*chances[:5], chances[5:].sum()]
    assert chisquare(found, 2000 * np.array(wanted)).pvalue > 1e-3


def test_patterns_lie_as_memory_does(model):
    turned = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    draws = sampler(turned, one("line", bytes=64), include=["weight"])
    faults = draws.draw(1, seed=1)
    places = np.unravel_index(faults.index, (8, 4, 3, 3))
    offsets = np.sort(sum(p * s for p, s in zip(places, turned.weight.stride(), strict=True)))
    assert offsets[0] % 16 == 0
    assert np.diff(offsets).tolist() == [1] * 15


def test_what_struck_is_printed_and_travels(model, bits_of_model, images):
    faults = sampler(model, one("dram-row", row_bytes=64, op="stuck-at-1")).draw(1, seed=1)
    text = str(faults)
    assert text.startswith("row of 2 × 8 words at conv.weight[")
    assert "512 bits of 16 words" in text
    assert "and 8 more words" in text
    again = pickle.loads(pickle.dumps(faults))
    assert again == faults == copy.deepcopy(faults)
    assert str(again) == text
    before = bits_of_model(model)
    with inject(model, faults):
        assert bits_of_model(model) != before
        model(images)
    assert bits_of_model(model) == before


def test_steps_and_samples_are_as_in_other_draws(model, images):
    space = FaultSpace(model, "activations", inputs=images)
    draws = Sampler(made(one("channel")), space, model)
    faults = draws.draw(1, seed=4)
    site = faults.sites[0]
    assert len(faults) == site.numel // site.shape[0]
    with inject(model, faults):
        model(images)


@pytest.mark.parametrize("mean", [0.1, 3.0, 400.0])
def test_a_poisson_number(mean):
    drawn = np.array([poisson(mean, seed=1, trial=t) for t in range(3000)])
    assert abs(drawn.mean() - mean) < 5 * (mean / 3000) ** 0.5
    assert abs(drawn.var() / mean - 1) < 0.2
    assert poisson(0.0, seed=1, trial=0) == 0
