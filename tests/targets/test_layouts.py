"""The batch axis is found by running two sizes, whatever the sizes happen to be."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import InjectionError
from faultsim.faults import Fault, Site
from faultsim.targets.layouts import CONSTANT, SEVERAL, Layout, possible_layouts


def sites(model: nn.Module, inputs) -> dict[str, Site]:
    return {site.name: site for site in FaultSpace(model, "activations", inputs=inputs).sites}


def layout(site: Site) -> tuple[int, int, int] | None:
    return (site.axis, site.outer, site.inner) if site.per_sample else None


def strike(site: Site, index: int = 0, sample: int | None = None) -> FaultSet:
    return FaultSet.of([Fault(site, index, 1 << 31, sample=sample)])


class Through(nn.Module):
    """A layer between two reshapings."""

    def __init__(self, there, back, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.there, self.back, self.at = there, back, inner or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.at(self.there(x)), len(x))


WINDOWS = Through(lambda x: x.reshape(-1, 3), lambda y, n: y.reshape(n, 4, 3))
HEADS = Through(
    lambda x: x.transpose(0, 1).reshape(-1, 3), lambda y, n: y.reshape(4, n, 3).transpose(0, 1)
)
BETWEEN = Through(
    lambda x: x.view(-1, 2, 2, 3).transpose(0, 1).reshape(-1, 3),
    lambda y, n: y.reshape(2, n, 2, 3).transpose(0, 1).reshape(n, 4, 3),
)
TIME_FIRST = Through(lambda x: x.transpose(0, 1).contiguous(), lambda y, n: y.transpose(0, 1))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(
    ("model", "expected", "shape"),
    [
        (WINDOWS, (0, 1, 4), (4, 3)),
        (HEADS, (0, 4, 1), (4, 3)),
        (BETWEEN, (0, 2, 2), (2, 2, 3)),
        (TIME_FIRST, (1, 1, 1), (4, 3)),
    ],
)
def test_folded_samples_are_told_apart(model, expected, shape, batch):
    site = sites(model, torch.rand(batch, 4, 3))["at"]
    assert layout(site) == expected
    assert site.shape == shape
    x = torch.rand(5, 4, 3) + 1
    with inject(model, strike(site, 7)):
        assert [int(n) for n in (model(x) != x).flatten(1).sum(dim=1)] == [1] * 5
    with inject(model, strike(site, 7, sample=3)):
        assert (model(x) != x).flatten(1).any(dim=1).nonzero().tolist() == [[3]]


class Recurrent(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.rnn = nn.LSTM(4, 6, num_layers=2, batch_first=batch_first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, (h, c) = self.rnn(x if self.batch_first else x.transpose(0, 1))
        return torch.cat([y[:, -1] if self.batch_first else y[-1], h[1], c[1]], dim=1)


@pytest.mark.parametrize("batch", [2, 5])  # as many as layers; as many as steps
@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_and_their_final_states(batch, batch_first):
    model = Recurrent(batch_first)
    found = sites(model, torch.rand(batch, 5, 4))
    assert layout(found["rnn:0"]) == (0 if batch_first else 1, 1, 1)
    assert [layout(found[f"rnn:1.{k}"]) for k in (0, 1)] == [(1, 1, 1)] * 2
    assert found["rnn:1.0"].shape == (2, 6)
    x = torch.rand(3, 5, 4)
    with torch.no_grad():
        golden = model(x)
        with inject(model, strike(found["rnn:1.0"], index=6 + 2, sample=1)):
            assert (model(x) != golden).nonzero().tolist() == [[1, 6 + 2]]


def test_models_whose_own_inputs_are_time_first():
    steps, batch = 5, 3
    found = sites(nn.GRU(4, 6), torch.rand(steps, batch, 4))
    assert {name: layout(site) for name, site in found.items()} == {
        "(root):0": (1, 1, 1),
        "(root):1": (1, 1, 1),
    }
    found = sites(nn.MultiheadAttention(4, 2).eval(), (torch.rand(steps, batch, 4),) * 3)
    assert [layout(site) for site in found.values()] == [(1, 1, 1), (0, 1, 1)]
    model = nn.Transformer(4, 2, 1, 1, 8).eval()
    found = sites(model, (torch.rand(steps, batch, 4), torch.rand(4, batch, 4)))
    assert {layout(site) for site in found.values()} == {(1, 1, 1)}


class Double(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


def test_a_parametrised_weight_of_as_many_rows_as_samples_has_no_batch():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten())
    parametrize.register_parametrization(model[0], "weight", Double())
    space = FaultSpace(model, "activations", inputs=torch.rand(8, 3, 4, 4))
    (site,) = (site for site in space.sites if "parametrizations" in site.name)
    assert not site.per_sample
    assert site.shape == (8, 3, 3, 3)
    assert space.whole == {site.name: CONSTANT}


def test_what_couples_samples_is_struck_as_a_whole_and_says_so():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh()).train()
    space = FaultSpace(model, "activations", inputs=torch.rand(6, 3))
    assert [site.per_sample for site in space.sites] == [True, False, False]
    assert space.sites[1].shape == (6, 4)
    assert "depends on the others" in space.whole["1"]
    assert FaultSpace(model.eval(), "activations", inputs=torch.rand(6, 3)).whole == {}


def test_values_that_never_change_are_told_by_their_shapes():
    class Start(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.at = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.at(torch.zeros(2, len(x), 3))[0]

    assert layout(sites(Start(), torch.rand(2, 3))["at"]) == (1, 1, 1)


def test_smaller_batches_and_other_sizes_of_input_are_struck_too():
    model = Through(
        lambda x: x.unfold(1, 2, 2).unfold(2, 2, 2).reshape(-1, 4),
        lambda y, n: y.reshape(n, -1),
    )
    site = sites(model, torch.rand(4, 4, 4))["at"]
    assert (layout(site), site.shape) == ((0, 1, 4), (4, 4))
    with inject(model, strike(site, index=2 * 4 + 1)):
        for shape in ((4, 4, 4), (3, 4, 4), (2, 8, 8)):
            x = torch.rand(shape) + 1
            struck = model(x).view(shape[0], -1, 4) < 0
            assert struck.nonzero().tolist() == [[n, 2, 1] for n in range(shape[0])]
    with (
        pytest.raises(InjectionError, match="no element 9"),
        inject(model, strike(site, index=9)),
    ):
        model(torch.rand(4, 2, 4))


def test_elements_are_found_by_their_coordinates():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Identity())
    site = sites(model, torch.rand(2, 1, 3, 3))["0"]
    with inject(model, strike(site, index=9 + 4)), torch.no_grad():
        x = torch.rand(2, 1, 5, 6)
        y = model(x)
    changed = y != model[0](x)
    assert changed.nonzero().tolist() == [[n, 1, 1, 1] for n in range(2)]
    with (
        pytest.raises(InjectionError, match="no element 13"),
        inject(model, strike(site, index=9 + 4)),
    ):
        model(torch.rand(2, 1, 1, 6))


class Fixed(nn.Module):
    """Runs on four samples only."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.at(x.view(4, 2, 3).transpose(0, 1).reshape(8, 3))


def test_a_model_of_one_batch_size():
    assert layout(sites(Fixed(), torch.rand(4, 6))["at"]) == (0, 2, 1)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({2: (2, 3), 3: (3, 3)}, [Layout(0)]),
        ({2: (3, 8), 3: (3, 12)}, [Layout(1, 1, 4), Layout(1, 4, 1), Layout(1, 2, 2)]),
        ({2: (2, 2), 3: (3, 3)}, SEVERAL),
        ({2: (5,), 3: (7,)}, SEVERAL),
        ({2: (4, 3), 3: (4, 3)}, CONSTANT),
        ({2: (), 3: ()}, CONSTANT),
        ({2: (2,), 3: (3, 1)}, SEVERAL),
    ],
)
def test_what_shapes_allow(shapes, expected):
    assert possible_layouts(shapes) == expected


def test_sites_of_folded_samples_go_through_json():
    space = FaultSpace(BETWEEN, "activations", inputs=torch.rand(3, 4, 3))
    faults = space.sample(9, seed=0)
    assert FaultSet.from_json(faults.to_json()) == faults
    old = (
        '{"sites": {"at": {"kind": "activations", "dtype": "float32", "shape": [3]}}, "faults": []}'
    )
    assert len(FaultSet.from_json(old)) == 0
