"""Models whose modules cannot be seen are refused in one line, before the first trial."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import FaultError
from faultsim.faults import Fault


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()


def compiled_as_a_method() -> nn.Module:
    model = network()
    model.compile(backend="eager")
    return model


def compiled_inside() -> nn.Module:
    return nn.Sequential(torch.compile(network(), backend="eager"), nn.Linear(4, 2))


def exported() -> nn.Module:
    return torch.export.export(network(), (torch.rand(3, 4),)).module()


X = torch.rand(3, 4)


@pytest.mark.parametrize("target", ["activations", "states"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.compile(network(), backend="eager"), "pass the module before torch.compile"),
        (compiled_as_a_method, "pass the module before torch.compile"),
        (compiled_inside, "0 is compiled"),
        (lambda: torch.jit.script(network()), "before torch.jit.script"),
        (lambda: torch.jit.trace(network(), X), "before torch.jit.script or trace"),
        (exported, "before torch.export, or torch.export.unflatten"),
        (lambda: nn.Sequential(nn.LazyLinear(4)), "run a batch through the model first"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_refused_with_the_way_round(make, message, target):
    with pytest.raises(FaultError, match=message) as caught:
        FaultSpace(make(), target, inputs=X)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_compiled_after_its_space_was_made():
    model = network()
    (site, *_) = FaultSpace(model, "activations", inputs=X).sites
    model.compile(backend="eager")
    with pytest.raises(FaultError, match="is compiled"):
        inject(model, FaultSet.of([Fault(site, 0, 1)])).arm()


@pytest.mark.filterwarnings("ignore")
def test_the_ways_round_work():
    class Named(nn.Module):  # torch 2.4 cannot unflatten names that are numbers
        def __init__(self) -> None:
            super().__init__()
            self.body = network()[0]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x)

    compiled = torch.compile(Named(), backend="eager")
    program = torch.export.export(Named(), (X,))
    for model in (compiled._orig_mod, torch.export.unflatten(program)):
        assert {s.name for s in FaultSpace(model, "activations", inputs=X).sites} >= {"body"}


def test_data_parallel_on_the_host_is_its_module():
    model = nn.DataParallel(network())
    if len(model.device_ids) > 1:
        with pytest.raises(FaultError, match=r"pass its \.module"):
            FaultSpace(model, "activations", inputs=X)
        return
    space = FaultSpace(model, "activations", inputs=X)
    assert [site.name for site in space.sites] == ["module.0", "module.1"]


@pytest.mark.filterwarnings("ignore")
def test_what_is_no_site_is_skipped_with_the_reason():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.scripted = nn.Linear(4, 4), torch.jit.script(nn.Tanh())
            self.idle, self.drop, self.same = nn.Linear(1, 1), nn.Dropout(), Says(lambda x: x > 0)
            self.none, self.sparse = Says(lambda x: None), Says(lambda x: x.to_sparse())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.scripted(self.drop(self.fc(x)))
            self.none(x)
            return x + self.same(x) + self.sparse(x).to_dense()

    class Says(nn.Module):
        def __init__(self, what) -> None:
            super().__init__()
            self.what = what

        def forward(self, x: torch.Tensor):
            return self.what(x)

    space = FaultSpace(Odd().eval(), "activations", inputs=X)
    assert {site.name for site in space.sites} == {"fc", "(root)"}
    for name, reason in {
        "scripted": "scripted",
        "idle": "did not run",
        "drop": "no value of its own",
        "same": "bool",
        "none": "no tensor",
        "sparse": "sparse",
    }.items():
        assert reason in space.skipped[name]
        with pytest.raises(FaultError, match=f"cannot be struck: {name}: .*{reason}"):
            FaultSpace(Odd().eval(), "activations", inputs=X, include=name)


def test_complex_and_expanded_outputs_are_struck():
    class Spectrum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.turn, self.spread = Turn(), Spread()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.spread(self.turn(x).conj()).real

    class Turn(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft(x)

    class Spread(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, None].expand(-1, 2, -1)

    space = FaultSpace(Spectrum(), "activations", inputs=X)
    shapes = {site.name: (site.dtype, site.shape) for site in space.sites}
    assert shapes["turn"] == ("float32", (4, 2))
    golden = Spectrum()(X)
    (site,) = (site for site in space.sites if site.name == "spread")
    with inject(model := Spectrum(), FaultSet.of([Fault(site, 8 + 2 * 3, 1 << 31)])):
        changed = model(X) != golden
    assert changed.nonzero().tolist() == [[n, 1, 3] for n in range(3)]
