"""Arming weights and restoring them bit for bit, whatever happens in between."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from faultsim import FaultSet, FaultSpace, Injector, inject
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault
from faultsim.formats import FORMATS


@pytest.mark.parametrize("op", ["flip", "stuck-at-0", "stuck-at-1"])
def test_faults_strike_and_are_undone(model, images, bits_of_model, op):
    before, golden = bits_of_model(model), model(images)
    faults = FaultSpace(model, bits="exponent").sample(12, seed=1, op=op)
    with inject(model, faults):
        during = bits_of_model(model)
        changed = [name for name in before if before[name] != during[name]]
        assert changed
        assert set(changed) <= {fault.tensor for fault in faults}
    assert bits_of_model(model) == before
    assert torch.equal(model(images), golden)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 60))
def test_as_many_bits_differ_as_were_flipped(seed, n):
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    faults = FaultSpace(model).sample(n, seed=seed)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with inject(model, faults):
        different = 0
        for name, value in model.state_dict().items():
            word = FORMATS[value.dtype].word
            diff = (value.view(word) ^ before[name].view(word)).flatten().tolist()
            different += sum(
                (d & (1 << 64) - 1 if d >= 0 else d & 0xFFFFFFFF).bit_count() for d in diff
            )
        assert different == n


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_inside_leaves_the_model_as_it_was(model, bits_of_model, error):
    before = bits_of_model(model)
    with pytest.raises(error), inject(model, FaultSpace(model).sample(30, seed=2)):
        raise error
    assert bits_of_model(model) == before


@pytest.mark.parametrize("after", ["strike", "restore", "touch"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_ctrl_c_while_arming_or_disarming_leaves_nothing_behind(
    model, bits_of_model, monkeypatch, after, call
):
    """KeyboardInterrupt right after the words changed, before anyone could note it."""
    import faultsim.ops.patch as module

    before = bits_of_model(model)
    home, name = (module, "touch") if after == "touch" else (module.Patch, after)
    real, count = getattr(home, name), 0

    def interrupted(*args):
        nonlocal count
        real(*args)
        count += 1
        if count == call:
            raise KeyboardInterrupt

    monkeypatch.setattr(home, name, interrupted)
    faults = FaultSpace(model, include=["conv", "gain", "head"]).sample(60, seed=0)
    for _ in range(call):
        try:
            with inject(model, faults):
                pass
        except KeyboardInterrupt:
            break
    assert count >= call
    assert bits_of_model(model) == before


def test_operators_may_be_mixed_in_one_set(model, bits_of_model):
    site = next(s for s in FaultSpace(model).sites if s.name == "gain")
    one = 0x3F800000
    faults = FaultSet.of(
        [
            Fault(site, 0, 1 << 31),
            Fault(site, 1, one, "stuck-at-0"),
            Fault(site, 2, 1 << 30, "stuck-at-1"),
            Fault(site, 3, 0xFFFFFFFF, "replace", 0x40000000),
        ]
    )
    before = bits_of_model(model)
    with inject(model, faults):
        assert model.gain.tolist() == [-1.0, 0.0, torch.inf, 2.0]
    assert bits_of_model(model) == before
    after = [fault.after for fault in faults.describe(model)]
    assert after == [-1.0, 0.0, torch.inf, 2.0]


def test_nested_injections_unwind_last_in_first_out(model, bits_of_model):
    before = bits_of_model(model)
    space = FaultSpace(model, include="gain")
    first, second = (
        Injector(model, space.sample(20, seed=0)),
        Injector(model, space.sample(20, seed=1)),
    )
    first.arm()
    between = bits_of_model(model)
    second.arm()
    with pytest.raises(InjectionError, match="last in, first out"):
        first.disarm()
    second.disarm()
    assert bits_of_model(model) == between
    first.disarm()
    first.disarm()
    assert bits_of_model(model) == before


def test_arming_twice_is_refused(model):
    injector = Injector(model, FaultSpace(model).sample(1, seed=0))
    with injector, pytest.raises(InjectionError, match="armed already"):
        injector.arm()


def test_tied_weights_are_struck_once_and_everywhere():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    with inject(model, FaultSpace(model, include="0.weight").sample(1, seed=0)):
        assert torch.equal(model[0].weight, model[1].weight)


def test_a_channels_last_weight_is_struck_at_its_logical_index():
    conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    plain = conv.weight.detach().contiguous().clone()
    with inject(conv, FaultSpace(conv, bits="sign", include="weight").locate([17])):
        assert conv.weight.detach().flatten()[17] == -plain.flatten()[17]


def test_replaced_storage_is_an_error_that_names_the_tensor(model):
    injector = Injector(model, FaultSpace(model, include="gain").sample(1, seed=0))
    injector.arm()
    model.half()
    with pytest.raises(InjectionError, match="gain got new storage"):
        injector.disarm()


def test_faults_of_another_model_touch_nothing(model, bits_of_model):
    other = nn.Linear(3, 3)
    faults = FaultSet.join(
        [FaultSpace(model).sample(5, seed=0), FaultSpace(other).sample(3, seed=0)]
    )
    before = bits_of_model(model)
    with pytest.raises(FaultError, match="no parameter or buffer"):
        Injector(model, faults).arm()
    assert bits_of_model(model) == before
    faults = FaultSpace(model).sample(1, seed=0)
    with pytest.raises(FaultError, match="the faults were made for float32"):
        Injector(model.double(), faults).arm()


def test_backward_through_weights_struck_meanwhile_is_an_error(model, images):
    loss = model(images).square().sum()
    with (
        inject(model, FaultSpace(model, include="head.weight").sample(1, seed=0)),
        pytest.raises(RuntimeError, match="modified by an inplace operation"),
    ):
        loss.backward()


def test_gradients_under_faults_are_those_of_the_struck_model(model, images):
    faults = FaultSpace(model, bits="mantissa", include="head").sample(20, seed=0)
    with inject(model, faults):
        model(images).square().sum().backward()
        struck = {k: v.clone() for k, v in model.state_dict().items()}
    copy = type(model)().eval()
    copy.load_state_dict(struck)
    copy(images).square().sum().backward()
    assert torch.equal(model.conv.weight.grad, copy.conv.weight.grad)


def test_a_fault_or_a_list_of_them_is_a_set_and_may_name_weights(model, images):
    site = next(site for site in FaultSpace(model).sites if site.name == "head.weight")
    expected = FaultSet.of([Fault(site, (2, 3), bit=30)])
    for faults in (
        Fault("head.weight", (2, 3), bit=30),
        [Fault("head.weight", 2 * 4 + 3, 1 << 30)],
        (fault for fault in expected),
    ):
        with inject(model, faults) as injector:
            assert injector.faults == expected
    counter = Fault("norm.num_batches_tracked", 0, bit=1)  # integers are struck where named
    before = model.norm.num_batches_tracked.item()
    with inject(model, counter):
        assert model.norm.num_batches_tracked.item() == before ^ 2
    with pytest.raises(FaultError, match=r"did you mean 'head\.weight'"):
        inject(model, Fault("head.weigth", 0, bit=1))
    with pytest.raises(FaultError, match=r"FaultSet\.of\(faults, space\)"):
        inject(model, Fault("act", 0, bit=1))
    space = FaultSpace(model, "activations", inputs=images)
    named = FaultSet.of(Fault("act", (0, 1, 1), bit=30), space)
    with inject(model, named):
        model(images)
