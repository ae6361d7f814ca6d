"""Arming weights and restoring them bit for bit, whatever happens in between."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from faultsim import FaultSet, FaultSpace, Injector, inject
from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault, Site


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


def step(model: nn.Module, images: torch.Tensor) -> None:
    model(images).square().sum().backward()
    torch.optim.SGD(model.parameters(), 0.1).step()


def test_an_update_of_a_struck_word_is_kept_and_reported(model, images):
    """Undoing it in silence would lose a step of the training."""
    faults = FaultSpace(model, include="head.bias", bits="sign").locate([1])
    with inject(model, faults):
        twin = copy.deepcopy(model)
    step(twin, images)
    with pytest.raises(InjectionError, match=r"head.bias\[1\] was written while its fault was"):
        step_inside(model, faults, images)
    assert torch.equal(model.head.bias, twin.head.bias)


def step_inside(model: nn.Module, faults: FaultSet, images: torch.Tensor) -> None:
    with inject(model, faults):
        step(model, images)


def test_batch_statistics_of_a_struck_word_are_kept_and_reported(model, images):
    faults = FaultSpace(model, include="norm.running_mean", bits="mantissa").sample(1, seed=0)
    with inject(model, faults):
        twin = copy.deepcopy(model).train()
    twin(images)
    injector = inject(model.train(), faults)
    injector.arm()
    model(images)
    with pytest.raises(InjectionError, match=r"running_mean\[\d\] was written"):
        injector.disarm()
    assert torch.equal(model.norm.running_mean, twin.norm.running_mean)
    injector.disarm()  # does nothing


def test_the_optimiser_may_step_outside(model, images, bits_of_model):
    """Training under faults: gradients of the struck model move the words as they were."""
    faults = FaultSpace(model, bits="mantissa", include="head").sample(20, seed=0)
    golden = copy.deepcopy(model.state_dict())
    with inject(model, faults):
        twin = copy.deepcopy(model)
        model(images).square().sum().backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    twin(images).square().sum().backward()
    twin.load_state_dict(golden)
    torch.optim.SGD(twin.parameters(), 0.1).step()
    assert bits_of_model(model) == bits_of_model(twin)


def test_words_that_are_as_before_already_are_no_error(model, bits_of_model):
    """A checkpoint loaded again, or a protection that repairs what it finds."""
    before, golden = bits_of_model(model), copy.deepcopy(model.state_dict())
    with inject(model, FaultSpace(model).sample(30, seed=0)):
        model.load_state_dict(golden)
    assert bits_of_model(model) == before


def test_what_went_wrong_on_the_way_out_does_not_hide_the_first_error(model):
    def fail() -> None:
        with inject(model, FaultSpace(model, include="gain").sample(1, seed=0)):
            model.gain.data.fill_(3)
            raise ValueError("mine")

    with (
        pytest.warns(RuntimeWarning, match=r"gain\[\d\] was written"),
        pytest.raises(ValueError, match="mine"),
    ):
        fail()


def test_another_thread_is_refused_and_changes_nothing(model, images, bits_of_model):
    before, space = bits_of_model(model), FaultSpace(model, "activations", inputs=images)
    mine = FaultSet.join([space.sample(3, seed=0), FaultSpace(model).sample(3, seed=0)])
    with ThreadPoolExecutor(1) as other:
        with inject(model, mine) as injector:
            struck, golden = bits_of_model(model), model(images)
            theirs = Injector(model, FaultSpace(model).sample(3, seed=1))
            with pytest.raises(InjectionError, match="another thread has faults armed"):
                other.submit(theirs.arm).result()
            assert bits_of_model(model) == struck
            assert torch.equal(model(images), golden)
            with inject(model, mine[:0]):  # this thread may go on
                pass
            other.submit(inject(copy.deepcopy(theirs.model), theirs.faults).arm).result()
            injector.advance(0)
        other.submit(theirs.arm).result()
        theirs.disarm()
    assert bits_of_model(model) == before


def test_threads_that_arm_at_once_leave_the_model_as_it_was(model, images, bits_of_model):
    before, threads = bits_of_model(model), 4
    hooks = [len(module._forward_hooks) for module in model.modules()]
    space = FaultSpace(model, "activations", inputs=images)
    sets = [
        FaultSet.join([space.sample(2, seed=i), FaultSpace(model).sample(9, seed=i)])
        for i in range(threads)
    ]
    start = Barrier(threads)

    def attempt(faults: FaultSet) -> set[str]:
        start.wait()
        refused = set()
        for _ in range(50):
            injector = inject(model, faults)
            try:
                injector.arm()
            except InjectionError as error:
                refused.add(str(error))
            injector.disarm()
        return refused

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            refused = set().union(*pool.map(attempt, sets))
    finally:
        sys.setswitchinterval(interval)
    assert all("another thread has faults armed" in text for text in refused)
    assert bits_of_model(model) == before
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def forget(injectors: list[Injector]) -> None:
    injectors.clear()
    gc.collect()


def test_a_forgotten_injector_restores_the_model_and_says_so(model, images, bits_of_model):
    before, golden = bits_of_model(model), model(images)
    space = FaultSpace(model, "activations", inputs=images)
    both = FaultSet.join([space.sample(3, seed=0), FaultSpace(model).sample(30, seed=0)])
    injectors = [inject(model, both)]
    injectors[0].arm()
    with pytest.warns(ResourceWarning, match="faults on TinyNet were armed and forgotten"):
        forget(injectors)
    assert bits_of_model(model) == before
    assert torch.equal(model(images), golden)


def test_a_forgotten_injector_waits_for_those_on_top_of_it(model, bits_of_model):
    before, space = bits_of_model(model), FaultSpace(model, include="gain")
    injectors = [Injector(model, space.sample(20, seed=0))]
    injectors[0].arm()
    with inject(model, space.sample(20, seed=1)):
        struck = bits_of_model(model)
        with pytest.warns(ResourceWarning):
            forget(injectors)
        assert bits_of_model(model) == struck
    assert bits_of_model(model) == before


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_only_an_injector_that_is_not_armed_can_be_copied(model, bits_of_model, copied):
    before = bits_of_model(model)
    injector = inject(model, FaultSpace(model).sample(3, seed=0))
    with injector, pytest.raises(InjectionError, match="cannot be copied or pickled"):
        copied(injector)
    with copy.copy(injector):
        assert bits_of_model(model) != before
    assert bits_of_model(model) == before


@pytest.mark.parametrize("together", [False, True])
def test_no_fault_is_armed_by_nobody(model, bits_of_model, together, monkeypatch):
    """It would be recorded as masked, every time."""
    before = bits_of_model(model)
    monkeypatch.setattr("faultsim.targets.armed.TRANSIENT", ())
    faults = FaultSet([Site("act", "activations", "float32", (4,))], 0, [1], 1)
    if together:
        faults = FaultSet.join([faults, FaultSpace(model).sample(3, seed=0)])
    with pytest.raises(InjectionError, match="nothing strikes sites of kind 'activations'"):
        inject(model, faults).arm()
    assert bits_of_model(model) == before


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
