"""Faults carried by samples, against the same faults in the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from faultsim import FaultSpace, inject
from faultsim.run.carried import gains, inferences
from faultsim.run.carried.costs import Costs
from faultsim.run.carried.inferences import Inferences
from faultsim.run.carried.operators import Call
from faultsim.run.carried.pass_ import CarriedPass
from faultsim.run.carried.reading import Reading
from faultsim.run.carried.rows import one_sample
from faultsim.run.engine import WholePass
from faultsim.run.golden import golden_run
from faultsim.run.replay import Prefix
from faultsim.targets.layouts import LARGE, Layout
from faultsim.workload import Workload
from faultsim.workload.outputs import identical


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.norm = nn.Embedding(30, 8), nn.Linear(8, 8), nn.LayerNorm(8)
        self.token = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x)], 1)
        x = x + torch.tanh(self.mix(self.norm(x)))
        return (torch.softmax(x @ x.mT, -1) @ x)[:, -1] @ self.embed.weight.t()


class Coupled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x)
        return x / x.abs().max()


class Deciding(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x)
        return torch.zeros_like(x) if x.isnan().any() else x


class Placed(nn.Linear):
    """What it makes of a sample depends on its row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(super().forward(x)) + torch.linspace(0, 1, len(x), dtype=x.dtype)[:, None]


class Last(nn.LSTM):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[0][:, -1]


class Deep(nn.Module):
    """Cut in many places, with operators between its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(6))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, block in enumerate(self.blocks):
            x = torch.relu(x + block(x) / (number + 1))
        return self.head(x.mean((2, 3)))


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8),
        nn.GroupNorm(2, 8), nn.ConvTranspose2d(8, 4, 3, groups=2), nn.Flatten(),
        nn.utils.parametrizations.weight_norm(nn.Linear(256, 5)),
    )  # fmt: skip


NETS = {
    "convolutions": (convolutions, torch.randn(11, 3, 8, 8)),
    "tied": (Tied, torch.randint(0, 30, (11, 6))),
    "lstm": (lambda: Last(8, 6, batch_first=True), torch.randn(11, 5, 8)),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16), torch.randn(11, 5, 8)),
    "deep": (Deep, torch.randn(11, 4, 12, 12)),
    "coupled": (lambda: Coupled(8, 4), torch.randn(11, 8)),
    "deciding": (lambda: Deciding(8, 4), torch.randn(11, 8)),
    "placed": (lambda: Placed(8, 4), torch.randn(11, 8)),
}


def runs_of(work, batches, *, replay, measured=False):
    """Trials, from every cut that is exact where they are replayed."""
    engine = WholePass(work, torch.device("cpu"))
    if replay:
        first = batches[0]
        engine = Prefix(work.model, first.inputs, 11, run=work.run, size=first.size)
    return Inferences(work, golden_run(work, batches, engine), measured=measured)


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NETS)
def test_every_bit_is_that_of_the_fault_in_the_model(name, dtype, replay):
    torch.manual_seed(0)
    make, x = NETS[name]
    model = make().eval().to(dtype)
    x = x.to(dtype) if x.is_floating_point() else x
    try:
        with torch.no_grad():
            model(x)
    except RuntimeError as error:
        pytest.skip(f"this torch cannot run it on this processor: {error}")
    work = Workload(model, x, lambda golden, out, batch: (golden != out).flatten(1).any(1))
    batches = work.read("test", 8)
    spaces = [FaultSpace(model), FaultSpace(model, bits="exponent")]
    draw = np.random.default_rng(0)
    pairs = [
        (spaces[n % 2].sample(1 + n % 3, seed=0, trial=n), int(draw.integers(11)))
        for n in range(50)
    ]
    found = runs_of(work, batches, replay=replay).run(pairs)
    with torch.no_grad():
        for (faults, sample), inference in zip(pairs, found, strict=True):
            batch = batches[sample // 8]
            with inject(model, faults):
                real = work.run(batch.inputs)
            assert identical(one_sample(real, batch.size, sample % 8), inference.output)
    assert any(not identical(each.golden, each.output) for each in found)
    assert any(each.alone for each in found) == (name in ("coupled", "deciding", "encoder"))


@pytest.mark.parametrize("target", ["weights", "activations"])
@pytest.mark.parametrize("op", ["zero", "random", "stuck-at-1"])
@pytest.mark.parametrize("way", ["carried", "flipped", "measured"])
def test_operators_do_what_they_do_in_the_model(monkeypatch, op, target, way):
    if way == "flipped":
        monkeypatch.setattr(gains, "ENOUGH", 0.0)
    torch.manual_seed(0)
    model, x = convolutions().eval(), torch.randn(11, 3, 8, 8)
    work = Workload(model, x, lambda golden, out, batch: (golden != out).flatten(1).any(1))
    runs = runs_of(work, work.read("test", 11), replay=True, measured=way != "carried")
    space = FaultSpace(model, target, inputs=x)
    pairs = [(space.sample(2, seed=0, trial=n, op=op), n % 11) for n in range(33)]
    for (faults, sample), inference in zip(pairs, runs.run(pairs), strict=True):
        with torch.no_grad(), inject(model, faults):
            real = model(x)
        assert identical(real[sample : sample + 1], inference.output)


def test_a_pass_begins_behind_what_its_faults_cannot_reach(monkeypatch):
    torch.manual_seed(0)
    model, x = Deep().eval(), torch.randn(11, 4, 12, 12)
    work = Workload(model, x, lambda golden, out, batch: (golden != out).flatten(1).any(1))
    runs = runs_of(work, work.read("test", 11), replay=True)
    spaces = FaultSpace(model, include=("head.*",)), FaultSpace(model)
    pairs = [(s.sample(1, seed=0, trial=n), n) for s in spaces for n in range(10)]
    first = runs.run(pairs)  # some passes more, once
    called, forward = [], nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda m, x: called.append(m) or forward(m, x))
    passes = runs.passes
    again = runs.run(pairs)
    assert runs.passes - passes == 2
    assert len(called) < 2 * len(model.blocks)
    assert called.count(model.blocks[0]) == 1
    assert all(identical(a.output, b.output) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("fewest", [1, 5])
def test_a_sample_has_several_rows_of_a_pass_where_each_gets_its_bits(fewest):
    torch.manual_seed(0)
    model, x = (Deep(), torch.randn(11, 4, 12, 12)) if fewest == 1 else NETS["placed"]
    model = model.eval() if fewest == 1 else model().eval()
    work = Workload(model, x, lambda golden, out, batch: (golden != out).flatten(1).any(1))
    runs = runs_of(work, work.read("test", 11), replay=True)
    space = FaultSpace(model, bits="exponent")
    pairs = [(space.sample(1, seed=0, trial=n), n % 2) for n in range(10)]
    for (faults, sample), inference in zip(pairs, runs.run(pairs), strict=True):
        with torch.no_grad(), inject(model, faults):
            real = model(x)
        assert identical(real[sample : sample + 1], inference.output)
        assert not inference.alone
    assert runs.passes == fewest


@pytest.mark.parametrize("name", ["convolutions", "deep", "lstm", "placed"])
def test_a_few_faults_share_a_pass_of_fewer_rows_where_each_gets_its_bits(name, monkeypatch):
    torch.manual_seed(0)
    make, x = NETS[name]
    model, x = make().eval(), torch.randn(64, *x.shape[1:])
    work = Workload(model, x, lambda golden, out, batch: (golden != out).flatten(1).any(1))
    engine = Prefix(model, x, 64, run=work.run, size=64)
    runs = Inferences(work, golden_run(work, work.read("test", 64), engine), measured=False)
    space = FaultSpace(model, bits="exponent")
    pairs = [(space.sample(1, seed=0, trial=n), (7 * n) % 64) for n in range(40)]
    rows, run = [], CarriedPass.__init__
    monkeypatch.setattr(
        CarriedPass, "__init__", lambda *given: rows.append(given[4]) or run(*given)
    )
    found = [each for n in range(0, 40, 5) for each in runs.run(pairs[n : n + 5])]
    for (faults, sample), inference in zip(pairs, found, strict=True):
        with torch.no_grad(), inject(model, faults):
            real = model(x)
        assert identical(real[sample : sample + 1], inference.output)
    fewest = min(row for row in rows if row != LARGE)  # those are the weights that are tried
    assert (fewest == 64) == (name == "placed")


def test_nothing_is_probed_for_a_few_faults(monkeypatch):
    monkeypatch.setattr(inferences, "Carrier", None)
    torch.manual_seed(0)
    model, x = nn.Linear(4, 3).eval(), torch.randn(8, 4)
    work = Workload(model, x, lambda golden, out, batch: (golden != out).any(1))
    runs = runs_of(work, work.read("test", 8), replay=False, measured=True)
    pairs = [(FaultSpace(model).sample(1, seed=0, trial=n), n % 8) for n in range(inferences.START)]
    assert all(each.alone for each in runs.run(pairs[1:]))
    with pytest.raises(TypeError):  # as there is no Carrier
        runs.run(pairs[:1])


def test_so_few_samples_are_run_as_get_the_bits_of_the_batch():
    """A product's rows may be summed otherwise in a small batch; what is seen decides."""
    torch.manual_seed(0)
    weight, x = torch.randn(6, 6), torch.randn(20, 6)
    layout = Layout(0)
    reading = Reading((layout, None), (layout,))

    def product(x, weight):
        out = x @ weight
        return out + 1e-3 if len(x) < 4 else out

    product._schema = torch.ops.aten.mm.default._schema
    call = Call(product, (x, weight), {})
    costs = Costs((), {}, len(x))
    found = costs._measured(call, reading, [product(x, weight)])
    assert sorted(found.seconds) == [8, 20]


class Peeks(nn.Module):
    """Two layers alike, of which the words of the second are read past torch as well."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        return self.two(self.one(x)) + float(self.two.weight.detach().numpy().sum())


def test_a_weight_is_tried_though_one_like_it_was_carried():
    torch.manual_seed(0)
    model, x = Peeks().eval(), torch.randn(8, 6)
    work = Workload(model, x, lambda golden, out, batch: (golden != out).flatten(1).any(1))
    runs = runs_of(work, work.read("test", 8), replay=False)
    for name in ("one.weight", "two.weight"):
        runs.run([(FaultSpace(model, include=[name]).sample(1, seed=0), 3)])
    assert list(runs.alone) == ["two.weight"]
