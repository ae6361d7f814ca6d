"""What each protection promises: nothing without a fault, and what it does about one."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import faultsim
from faultsim.errors import ConfigError
from faultsim.protections import Detected
from faultsim.protections.known import PROTECTIONS
from faultsim.protections.ranges import RangeRestriction

OF_LAYERS = ("ranger", "ft-clipact", "range-alarm", "nan-guard", "abft", "duplicate", "tmr")


class Net(nn.Module):
    """Grouped and strided convolutions, an activation used twice, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.deep = nn.Conv2d(4, 4, 3, stride=2, groups=2, bias=False)
        self.act = nn.GELU()
        self.head = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.act(self.deep(self.act(self.conv(images))))
        return self.head(x.mean((2, 3)))


@pytest.fixture
def work() -> faultsim.Workload:
    torch.manual_seed(0)
    images = torch.randn(6, 2, 8, 8)
    task = faultsim.tasks.Classification(3)
    return faultsim.Workload(Net().eval(), (images, torch.arange(6) % 3), task)


def images_of(work: faultsim.Workload) -> torch.Tensor:
    return work.read("test")[0].inputs


def run(work: faultsim.Workload, *faults: faultsim.Fault, space=None) -> torch.Tensor:
    """The output of the batch with faults, which name sites of the space if there is one."""
    chosen = faultsim.FaultSet.of(faults, space) if space is not None else list(faults)
    with torch.no_grad():
        if not faults:
            return work.run(images_of(work))
        with faultsim.inject(work.model, chosen):
            return work.run(images_of(work))


def activations(work: faultsim.Workload) -> faultsim.FaultSpace:
    return faultsim.FaultSpace(work.model, "activations", inputs=images_of(work), run=work.run)


OF_OTHERS = ("in-place", "abft-products", "abft-products-recompute")
"""Of int8 weights, and of products outside of layers: the model here has none."""


@pytest.mark.parametrize("name", [name for name in PROTECTIONS if name not in OF_OTHERS])
def test_without_a_fault_outputs_are_bit_identical(work, name):
    safe = faultsim.protect(work, name)
    assert torch.equal(run(safe), run(work))
    assert safe.around.names == (name,)
    assert not any("parametrizations" in key for key in work.model.state_dict())


def test_all_that_go_together(work):
    safe = faultsim.protect(work, "tmr:head,ranger,nan-guard:conv", "abft", ["secded"])
    assert safe.around.names == ("tmr", "ranger", "nan-guard", "abft", "secded")
    assert torch.equal(run(safe), run(work))
    again = faultsim.protect(faultsim.protect(work, "ranger"), "secded")
    assert again.around.names == ("ranger", "secded")
    moved = again.around.moved(activations(work).sample(20, seed=0))
    assert {site.name.partition("@")[0] for site in moved.sites} <= {
        "conv", "deep", "head", "act.inner",
    }  # fmt: skip


@pytest.mark.parametrize("name", OF_LAYERS)
def test_faults_strike_what_a_protection_must_see(work, name):
    """A fault of the bare model in a layer strikes inside what stands around it."""
    safe = faultsim.protect(work, name)
    faults = activations(work).sample(200, seed=0)
    moved = safe.around.moved(faults)
    known = {site.name for site in activations(safe).sites}
    assert {site.name for site in moved.sites} <= known


@pytest.mark.parametrize("name", ["ranger", "ft-clipact", "range-alarm", "weight-range"])
def test_bounds_are_words_that_faults_strike(work, name):
    safe = faultsim.protect(work, name)
    own = faultsim.FaultSpace(safe.model, include=["*.low", "*.high"])
    assert len(own) == (5 * 2 if name == "weight-range" else 2) * 32


def big(work: faultsim.Workload, bit: int = 30) -> faultsim.Fault:
    """An activation of sample 2 that becomes huge."""
    space = activations(work)
    site = next(s for s in space.sites if s.name.startswith("act"))
    return faultsim.Fault(site, 5, bit=bit, sample=2)


def test_ranger_clips_and_ft_clipact_drops(work):
    seen = {}
    for name in ("ranger", "ft-clipact", "nan-guard"):
        safe = faultsim.protect(work, name)
        fault = safe.around.moved(faultsim.FaultSet.of([big(work)]))
        hook = safe.model.act.register_forward_hook(
            lambda m, i, o, name=name: seen.setdefault(name, o.clone())
        )
        with torch.no_grad(), faultsim.inject(safe.model, fault):
            safe.run(images_of(work))
        hook.remove()
    golden = work.model.act(work.model.conv(images_of(work)))
    high = faultsim.protect(work, "ranger").model.act.high
    at = (2, *torch.unravel_index(torch.tensor(5), golden.shape[1:]))
    assert seen["ranger"][at] == high
    assert seen["ft-clipact"][at] == 0
    for name in ("ranger", "ft-clipact"):
        differs = seen[name] != golden
        assert int(differs.sum()) == 1


def test_an_alarm_is_a_sample_without_an_answer(work):
    safe = faultsim.protect(work, "range-alarm")
    with (
        torch.no_grad(),
        faultsim.inject(safe.model, safe.around.moved(faultsim.FaultSet.of([big(work)]))),
    ):
        output = safe.run(images_of(work))
    assert output[2].isnan().all()
    others = [0, 1, 3, 4, 5]
    assert torch.equal(output[others], run(work)[others])
    assert torch.equal(run(safe), run(work))  # and nothing of it is left


def test_bounds_from_a_file_and_by_hand(work, tmp_path):
    path = tmp_path / "bounds.json"
    path.write_text(json.dumps({"act": [0.0, 0.25]}))
    for bounds in (path, {"act": (0.0, 0.25)}):
        safe = faultsim.protect(work, RangeRestriction("ranger", "clip", bounds=bounds))
        x = work.model.act(work.model.conv(images_of(work))).clamp(0, 0.25)
        x = work.model.act(work.model.deep(x)).clamp(0, 0.25)
        assert torch.equal(run(safe), work.model.head(x.mean((2, 3))))
    with pytest.raises(ConfigError, match="bounds of 'none', which is no layer"):
        faultsim.protect(work, RangeRestriction("ranger", "clip", bounds={"none": (0, 1)}))


def test_minus_zero_keeps_its_sign():
    bounded = faultsim.protect(
        faultsim.Workload(nn.Sequential(nn.Hardtanh(0, 1)), torch.tensor([[-0.0, 1.0]]), _never),
        "ranger",
    )
    given = torch.tensor([[-0.0, 1.0]])
    out = bounded.model[0](given)
    assert torch.equal(out.signbit(), bounded.model[0].inner(given).signbit())


def _never(golden, faulty, batch):
    return torch.zeros(batch.size, dtype=torch.bool)


def test_nan_guard_hands_on_finite_numbers_alone(work):
    safe = faultsim.protect(work, "nan-guard")
    space = activations(work)
    site = next(s for s in space.sites if s.name == "conv")
    exponent = [faultsim.Fault(site, 3, bit=bit, op="stuck-at-1") for bit in range(23, 31)]
    assert not run(work, *exponent).isfinite().all()
    moved = safe.around.moved(faultsim.FaultSet.of(exponent))
    with torch.no_grad(), faultsim.inject(safe.model, moved):
        assert safe.run(images_of(work)).isfinite().all()


@pytest.mark.parametrize("name", ["weight-range"])
def test_a_weight_out_of_range_ends_the_pass(work, name):
    safe = faultsim.protect(work, name)
    weight = work.model.conv.weight.detach().flatten()
    place = int(weight.abs().argmax())
    for bit, seen in ((30, True), (0, False), (31, None)):
        fault = faultsim.Fault("conv.parametrizations.weight.original", place, bit=bit)
        if seen is None:
            seen = not float(weight.min()) <= -float(weight[place]) <= float(weight.max())
        if seen:
            with pytest.raises(Detected):
                run(safe, fault)
        else:
            assert run(safe, fault).isfinite().all()


def test_radar_reads_a_struck_group_as_zero(work):
    from faultsim.protections.radar import Radar

    safe = faultsim.protect(work, Radar(group=10))
    weight = work.model.conv.weight.detach().flatten().clone()
    groups = -(-len(weight) // 10)
    struck = faultsim.Fault("conv.parametrizations.weight.original", 3, bit=31)
    with faultsim.inject(safe.model, struck):
        used = safe.model.conv.weight.detach().flatten()
    expected = weight.clone()
    expected[3::groups] = 0
    assert torch.equal(used, expected)


@pytest.mark.parametrize("bit", [30, 31])
def test_radar_sees_every_flip_of_the_bits_it_is_made_for(work, bit):
    safe = faultsim.protect(work, "radar")
    weight = work.model.conv.weight.detach().flatten()
    for place in range(len(weight)):
        struck = faultsim.Fault("conv.parametrizations.weight.original", place, bit=bit)
        with faultsim.inject(safe.model, struck):
            assert bool((safe.model.conv.weight == 0).all())


def test_abft_detects_what_is_more_than_rounding(work):
    safe = faultsim.protect(work, "abft")
    golden = run(work)
    for layer in ("conv", "deep", "head"):
        outcomes = []
        for seed in range(40):
            space = faultsim.FaultSpace(safe.model, include=f"{layer}.inner.weight")
            with torch.no_grad(), faultsim.inject(safe.model, space.sample(1, seed=seed)):
                output = safe.run(images_of(work))
            alarmed = output.isnan().any(1)
            harm = (output - golden).abs().amax(1)
            outcomes.append(bool(alarmed.any()))
            assert bool((harm[~alarmed] < 1e-2).all())
        assert 0 < sum(outcomes) < 40


def test_abft_tells_the_sample_of_a_fault_in_passing_and_recomputes_it(work):
    site = next(s for s in activations(work).sites if s.name == "conv")
    fault = faultsim.FaultSet.of([faultsim.Fault(site, 7, bit=30, sample=4)])
    safe = faultsim.protect(work, "abft")
    with torch.no_grad(), faultsim.inject(safe.model, safe.around.moved(fault)):
        output = safe.run(images_of(work))
    assert output.isnan().any(1).tolist() == [False] * 4 + [True, False]
    better = faultsim.protect(work, "abft-recompute")
    with torch.no_grad(), faultsim.inject(better.model, better.around.moved(fault)):
        assert torch.equal(better.run(images_of(work)), run(work))


def test_duplicates_detect_and_three_correct_every_flip(work):
    golden = run(work)
    pair, three = (faultsim.protect(work, name) for name in ("duplicate", "tmr"))
    space = faultsim.FaultSpace(work.model)
    for trial in range(30):
        faults = space.sample(1, seed=0, trial=trial)
        with torch.no_grad(), faultsim.inject(work.model, faults):
            bare = work.run(images_of(work))
        with torch.no_grad(), faultsim.inject(three.model, three.around.moved(faults)):
            assert torch.equal(three.run(images_of(work)), golden)
        with torch.no_grad(), faultsim.inject(pair.model, pair.around.moved(faults)):
            output = pair.run(images_of(work))
        same = (output == golden).all(1) | output.isnan().all(1)
        assert bool(same.all())
        harmed = (bare != golden).any(1)
        assert bool(output[harmed].isnan().all())


def test_patterns_choose_layers(work):
    safe = faultsim.protect(work, "tmr:head")
    assert [name for name, _ in safe.model.named_modules() if name.endswith("third")] == [
        "head.third"
    ]
    with pytest.raises(ConfigError, match="tmr finds no layer called tail"):
        faultsim.protect(work, "tmr:tail")


def test_attributes_of_a_layer_are_still_there(work):
    safe = faultsim.protect(work, "tmr")
    assert safe.model.head.out_features == 3
    assert safe.model.conv.weight is safe.model.conv.inner.weight
    with pytest.raises(AttributeError):
        safe.model.conv.nothing  # noqa: B018


@pytest.mark.parametrize(
    "names", ["nan-guard,ranger", "nan-guard,abft", "abft,duplicate,ft-clipact"]
)
def test_what_stands_around_a_layer_does_not_hide_it_from_the_next(work, names):
    last = names.split(",")[-1]
    alone, both = faultsim.protect(work, last), faultsim.protect(work, names)
    kind = {type(m) for m in alone.model.modules()} - {type(m) for m in work.model.modules()}
    count = [sum(type(m) in kind for m in each.model.modules()) for each in (alone, both)]
    assert count[1] >= count[0] > 0
    assert torch.equal(run(both), run(work))
