"""Defects that other fault injectors have had, each shown to be none of ours."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy.stats import binomtest, chisquare
from torch import nn

from faultsim import CampaignConfig, FaultSet, FaultSpace, inject, run_campaign
from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError
from faultsim.faults import Fault
from faultsim.formats import signed

TRIALS = 200
QUIET = {torch.float64: 51, torch.float32: 22, torch.float16: 9, torch.bfloat16: 6}
"""The bit that a processor sets when it quiets a NaN."""


def hooks_of(model: nn.Module) -> list[list[object]]:
    return [
        list(hooks.values())
        for module in model.modules()
        for name, hooks in vars(module).items()
        if "_hooks" in name and hooks
    ]


class Fails(nn.Module):
    """The last layer of a model that raises under a fault."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such index")


def test_no_hook_is_left_behind_after_an_error(model, images):
    theirs = model.act.register_forward_hook(lambda *of_a_call: None)
    before, golden = hooks_of(model), model(images)
    space = FaultSpace(model, "activations", inputs=images)
    head, model.head = model.head, Fails()
    inner = space.filter(lambda site, bit: site.name != "head")

    def run(faults: FaultSet) -> None:
        with inject(model, faults):
            assert hooks_of(model) != before
            model(images)

    for trial in range(3):
        with pytest.raises(RuntimeError, match="no such index"):
            run(inner.sample(4, seed=0, trial=trial))
        assert hooks_of(model) == before
    model.head = head
    assert torch.equal(model(images), golden)
    theirs.remove()
    assert not hooks_of(model)


def test_the_first_parameter_is_not_struck_in_every_trial(model):
    """In each of 200 trials it was; here each tensor has its share of them."""
    space = FaultSpace(model)
    drawn = Counter(
        fault.tensor for trial in range(TRIALS) for fault in space.sample(1, seed=0, trial=trial)
    )
    sizes = Counter({site.name: site.numel * site.format.bits for site in space.sites})
    expected = {name: TRIALS * size / sizes.total() for name, size in sizes.items()}
    assert drawn[next(iter(sizes))] < TRIALS
    assert chisquare([drawn[name] for name in expected], list(expected.values())).pvalue > 0.001


def test_weights_are_struck_alike_whatever_the_size_of_their_layer():
    """A layer drawn first, and a weight in it then, strikes those of small layers most often."""
    model = nn.Sequential(nn.Linear(99, 10, bias=False), nn.Linear(10, 1, bias=False))
    space = FaultSpace(model)
    draws = (space.sample(1, seed=0, trial=trial) for trial in range(1000))
    small = sum(fault.tensor == "1.weight" for faults in draws for fault in faults)
    assert binomtest(small, 1000, 10 / 1000).pvalue > 0.001
    assert binomtest(small, 1000, 1 / 2).pvalue < 1e-9


@pytest.mark.parametrize("dtype", QUIET)
@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_signalling_nan_stays_one(dtype, target):
    """A word that goes through the processor's arithmetic would come out quiet."""
    layout, model = FORMATS[dtype], nn.Sequential(nn.ReLU(), nn.LayerNorm(1, dtype=dtype)).eval()
    ones = torch.ones(1, 1, dtype=dtype)
    word = int(ones.view(layout.word)) | sum(1 << bit for bit in layout.select("exponent")) | 1
    mask = signed(word ^ int(ones.view(layout.word)), layout.bits)
    model[1].weight.data.fill_(1)
    space = FaultSpace(model, target, inputs=ones)
    name = "1.weight" if target == "weights" else "0"
    seen = []
    model[0].register_forward_hook(lambda module, given, output: seen.append(output))
    with inject(model, FaultSet.of([Fault(name, 0, mask)], space), when="before"):
        model(ones)
        struck = model[1].weight.detach() if target == "weights" else seen[-1]
        found = int(struck.view(layout.word))
    assert found == word
    assert not found & 1 << QUIET[dtype]


def test_outputs_that_are_nan_are_detected_and_never_masked(model, dataset, tmp_path):
    """The class of the largest output may well be the same, or be said to be the first."""
    exponent = sum(1 << bit for bit in FORMATS[torch.float32].select("exponent"))
    nan = Fault("head.bias", 0, operand=exponent | 1, op="replace")
    faults = FaultSet.of(nan, FaultSpace(model))
    config = CampaignConfig(out=str(tmp_path / "a"), threads=1)
    found = run_campaign(config, model=model, data=dataset, trials=[faults])
    line = found.recorded.lines[0]
    assert (line.due, line.sdc, line.benign, line.masked) == (line.n, 0, 0, 0)


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_two_faults_on_one_position_both_strike(model, images, target):
    """Of two that were armed one after the other, the second had only its own bit changed."""
    space = FaultSpace(model, target, inputs=images)
    name = "head.bias" if target == "weights" else "head"
    one, other = (Fault(name, 1, bit=bit) for bit in (20, 22))
    together = Fault(name, 1, bit=[20, 22])

    def outputs(*faults: Fault) -> torch.Tensor:
        with inject(model, FaultSet.of(faults, space)), torch.no_grad():
            return model(images)

    both = outputs(together)
    assert not torch.equal(outputs(one), both)
    assert not torch.equal(outputs(other), both)
    assert torch.equal(outputs(one, other), both)
    with inject(model, FaultSet.of([one], space)):
        assert torch.equal(outputs(other), both)
    with pytest.raises(FaultError, match="clash"):
        FaultSet.of([one, one], space)
