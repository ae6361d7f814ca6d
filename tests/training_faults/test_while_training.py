"""Faults in a user's training loop: each against a loop that flips the words by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import faultsim
from faultsim import Fault, FaultSimError, while_training
from faultsim.ops import flip_

BIT, WORD, STEPS = 29, 3, 4
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01),
    "adamw, one by one": lambda p: torch.optim.AdamW(p, 0.01, foreach=False),
}


@pytest.fixture(params=list(OPTIMIZERS))
def training(request):
    """A model, its optimiser, and three batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    batches = [torch.randn(6, 4) for _ in range(STEPS)]
    make = OPTIMIZERS[request.param]
    model.make_optimizer = make
    return model, make(model.parameters()), batches


def run(model, optimizer, batches, *, before=None, between=None, undo=None):
    """A loop; what a test does by hand comes before a pass, or between gradients and update."""
    for step, batch in enumerate(batches):
        if before is not None:
            before(step)
        optimizer.zero_grad()
        model(batch).square().sum().backward()
        if undo is not None:
            undo(step)
        if between is not None:
            between(step)
        optimizer.step()


def flipped(tensor: torch.Tensor) -> None:
    flip_(tensor.detach(), torch.tensor([WORD]), torch.tensor([1 << BIT]))


def twins(training):
    """The same training twice."""
    model, _, batches = training
    other = copy.deepcopy(model)
    return other, model.make_optimizer(other.parameters()), batches


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_weights_stay_struck(training):
    other, again, batches = twins(training)
    model, optimizer, _ = training
    run(other, again, batches, before=lambda step: step == 2 and flipped(other[0].weight))
    with while_training(model, optimizer, {2: Fault("0.weight", WORD, bit=BIT)}) as faults:
        run(model, optimizer, batches)
    assert same(model, other)
    assert [step for step, _ in faults.struck] == [2]
    assert faults.struck[0][1].sites[0].name == "0.weight"


def test_weights_are_given_back_before_the_update(training):
    other, again, batches = twins(training)
    model, optimizer, _ = training

    def strike(step: int) -> None:
        if step % 2:
            flipped(other[0].weight)

    def even(step: int) -> Fault | None:
        return Fault("0.weight", WORD, bit=BIT) if step % 2 else None

    run(other, again, batches, before=strike, undo=strike)
    with while_training(model, optimizer, even, lasting=False):
        run(model, optimizer, batches)
    assert same(model, other)


@pytest.mark.parametrize("target", ["gradients", "optimizer"])
def test_what_the_optimiser_reads_is_struck(training, target):
    other, again, batches = twins(training)
    model, optimizer, _ = training
    state = "momentum_buffer" if isinstance(optimizer, torch.optim.SGD) else "exp_avg"
    name = "0.weight.grad" if target == "gradients" else f"0.weight.{state}"

    def strike(step: int) -> None:
        if step == 2:
            weight = other[0].weight
            flipped(weight.grad if target == "gradients" else again.state[weight][state])

    run(other, again, batches, between=strike)
    with while_training(model, optimizer, {2: Fault(name, WORD, bit=BIT)}, target=target):
        run(model, optimizer, batches)
    assert same(model, other)


@pytest.mark.parametrize("target", ["weights", "gradients", "optimizer"])
def test_drawn_faults_follow_from_seed_and_step_alone(training, target):
    other, again, batches = twins(training)
    model, optimizer, _ = training
    chosen = {"target": target, "flips": 2, "bits": "mantissa", "seed": 5}
    with while_training(model, optimizer, **chosen) as faults:
        run(model, optimizer, batches)
    with while_training(other, again, steps=range(2, 4), **chosen) as some:
        run(other, again, batches)
    first = 1 if target == "optimizer" else 0  # which has no state before
    assert [step for step, _ in faults.struck] == list(range(first, STEPS))
    assert [(step, str(drawn)) for step, drawn in some.struck] == [
        (step, str(drawn)) for step, drawn in faults.struck if step >= 2
    ]


def test_every_bit_of_a_pattern_can_be_struck(training):
    model, optimizer, batches = training
    before = model[3].bias.detach().clone()
    with while_training(model, optimizer, ber=1.0, bits="sign", include="3.bias", steps={0}) as f:
        model(batches[0])
    assert torch.equal(model[3].bias, -before)
    assert len(f.struck[0][1]) == 2


def test_passes_without_gradients_are_of_no_step(training):
    model, optimizer, batches = training
    clean = copy.deepcopy(model)
    with while_training(model, optimizer, flips=1), torch.no_grad():
        model.eval()(batches[0])
    assert same(model, clean)


def test_gradients_summed_over_passes_are_struck_once(training):
    model, optimizer, batches = training
    with while_training(model, optimizer, flips=1, bits="mantissa", lasting=False) as faults:
        for batch in batches:
            model(batch).square().sum().backward()
        optimizer.step()
    assert [step for step, _ in faults.struck] == [0]


def test_a_step_without_an_update_ends_its_faults(training):
    model, optimizer, batches = training
    clean = copy.deepcopy(model)
    once = {"flips": 1, "bits": "mantissa", "lasting": False, "steps": {0}}
    with while_training(model.eval(), optimizer, **once) as faults:
        model(batches[0])
        assert not same(model, clean)
        faults.skip()
        assert same(model, clean)
        model(batches[0])
    assert [step for step, _ in faults.struck] == [0]
    assert same(model, clean)


def test_activations_can_be_struck_while_training(training):
    model, optimizer, batches = training
    space = faultsim.FaultSpace(model, "activations", bits="29", inputs=batches[0])
    given = {1: space.sample(3, seed=0)}
    with while_training(model, optimizer, given, lasting=False) as faults:
        run(model, optimizer, batches)
    assert [step for step, _ in faults.struck] == [1]
    with (
        pytest.raises(FaultSimError, match="activations do not last"),
        while_training(model, optimizer, {0: given[1]}),
    ):
        model(batches[0])


@pytest.mark.parametrize("lasting", [True, False])
def test_the_loop_is_free_of_it_afterwards_whatever_happens(training, lasting):
    model, optimizer, batches = training
    clean = copy.deepcopy(model)

    def interrupted() -> None:
        with while_training(model, optimizer, flips=1, lasting=lasting):
            model.eval()(batches[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert same(model, clean) is not lasting
    assert not model._forward_pre_hooks
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_a_step_without_a_pass_is_an_error(training):
    model, optimizer, batches = training
    model[0](batches[0]).sum().backward()
    said = "step 0: faults were due, but the model was not called"
    with pytest.raises(FaultSimError, match=said), while_training(model, optimizer, flips=1):
        optimizer.step()


def test_a_gradient_that_is_not_there_is_named(training):
    model, optimizer, batches = training
    model[0](batches[0]).sum().backward()
    with (
        pytest.raises(FaultSimError, match=r"step 0: there is no 3\.bias\.grad to be struck"),
        while_training(model, optimizer, flips=1, include="3.bias.grad", target="gradients"),
    ):
        optimizer.step()


def test_a_closure_is_refused(training):
    model, optimizer, batches = training
    with pytest.raises(FaultSimError, match="closure"), while_training(model, optimizer, flips=1):
        optimizer.step(lambda: model(batches[0]).sum())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "flips, or ber, or faults"),
        ({"flips": 1, "ber": 0.1}, "flips, or ber, or faults"),
        ({"faults": {}, "flips": 1}, "leave flips, ber and steps out"),
        ({"flips": 1, "target": "gradient"}, "did you mean 'gradients'"),
        ({"flips": 1, "target": "gradients", "lasting": False}, "leave lasting out"),
        ({"faults": 3}, "not 3"),
        ({"flips": 1, "include": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_the_loop(training, wrong, message):
    model, optimizer, _ = training
    with pytest.raises(FaultSimError, match=message), while_training(model, optimizer, **wrong):
        pass
    assert not model._forward_pre_hooks
