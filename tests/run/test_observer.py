"""Where an error travels, against hooks written by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import faultsim
from faultsim import Fault, FaultSet, FaultSpace
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Site
from faultsim.injector import Injector
from faultsim.run.deviation import deviation, joined
from faultsim.run.observer import Observer, summary_of
from faultsim.targets.activations import activation_sites
from faultsim.targets.inputs import Sizes


class Net(nn.Module):
    """An in-place ReLU that is called twice, a tuple for an output, a module that may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 6)
        self.act, self.pair, self.guard = nn.ReLU(inplace=True), Pair(), Guard()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.first(x))
        x = self.act(self.second(x))
        left, right = self.pair(x)
        return self.guard(left + right)


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, -x


class Guard(nn.Module):
    limit = math.inf

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool((x.abs() > self.limit).any()):
            raise ValueError("too large")
        return x + 1


SITES = ["first", "act", "second", "act@1", "pair:0", "pair:1", "guard"]


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def by_hand(model: nn.Module, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Copies of what each module returned, in the order of the pass."""
    seen: dict[str, torch.Tensor] = {}
    calls: dict[str, int] = {}

    def hook(name):
        def note(module, args, output):
            call = calls[name] = calls.get(name, -1) + 1
            site = f"{name}@{call}" if call else name
            parts = output if isinstance(output, tuple) else (output,)
            for number, part in enumerate(parts):
                seen[f"{site}:{number}" if len(parts) > 1 else site] = part.detach().clone()

        return note

    handles = [m.register_forward_hook(hook(n)) for n, m in model.named_modules() if n]
    try:
        with torch.no_grad():
            model(inputs)
    except ValueError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return seen


def expected(golden: torch.Tensor, faulty: torch.Tensor, row: int) -> tuple[float, float, float]:
    was, now = golden[row].double().flatten(), faulty[row].double().flatten()
    changed = (golden[row].view(torch.int32) != faulty[row].view(torch.int32)).double().mean()
    both = was.isfinite() & now.isfinite()
    size = was[both].norm()
    relative = float((now - was)[both].norm() / size) if size else math.nan
    relative = 0.0 if float((now - was)[both].norm()) == 0 else relative
    return relative, float(changed), float((was.isfinite() & ~now.isfinite()).double().mean())


@pytest.mark.parametrize("target", ["weights", "activations"])
@pytest.mark.parametrize("seed", range(8))
def test_every_output_is_what_hooks_by_hand_see(net, inputs, target, seed):
    space = FaultSpace(net, target, bits="exponent", inputs=inputs)
    faults = space.sample(1 + seed % 3, seed=seed)
    golden = by_hand(net, inputs)
    with faultsim.inject(net, faults):
        faulty = by_hand(net, inputs)
    found = faultsim.observe(net, faults, inputs)
    assert list(found.sites) == SITES == list(golden)
    assert found.raised == ""
    for name, seen in found.sites.items():
        for row in range(5):
            told = tuple(float(column[row]) for column in seen)
            assert told == pytest.approx(expected(golden[name], faulty[name], row), nan_ok=True)


def test_an_error_is_seen_from_where_it_was_struck_on(net, inputs):
    fault = Fault("second.weight", (0, 0), bit=30)
    touched = {
        name: bool(seen.touched.any())
        for name, seen in faultsim.observe(net, fault, inputs).sites.items()
    }
    assert not touched["first"]
    assert not touched["act"]
    assert touched["second"]


def test_a_struck_activation_is_itself_seen_struck(net, inputs):
    space = FaultSpace(net, "activations", bits="31", inputs=inputs, include="first")
    first = faultsim.observe(net, space.sample(1, seed=0), inputs).sites["first"]
    assert first.changed.tolist() == pytest.approx([1 / 6] * 5)


def test_what_a_raising_pass_did_not_reach_has_no_samples(net, inputs):
    net.guard.limit = 1e6
    found = faultsim.observe(net, Fault("second.bias", 0, bit=30), inputs)
    assert found.raised == "too large"
    assert {name: len(seen.changed) for name, seen in found.sites.items()} == {
        **dict.fromkeys(SITES, 5), "guard": 0,
    }  # fmt: skip
    assert "it raised: too large" in str(found)
    assert summary_of(found.sites["guard"]) == (0, 0, None, None, None)


def test_the_table_has_a_line_for_each_output(net, inputs):
    text = str(faultsim.observe(net, Fault("second.bias", 0, bit=20), inputs)).splitlines()
    assert text[0].split() == ["site", "samples", "touched", "deviation", "changed", "non-finite"]
    assert [line.split()[0] for line in text[1:]] == SITES


def test_the_model_is_left_as_it_was_and_a_fault_that_never_fires_is_an_error(net, inputs):
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    site = FaultSpace(net, "activations", inputs=inputs).sites[0]
    late = FaultSet.of(Fault(site, 0, bit=1, sample=9))
    with pytest.raises(InjectionError):
        faultsim.observe(net, late, inputs)
    faultsim.observe(net, Fault("first.bias", 0, bit=30), inputs)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_batches_of_other_sizes(net, inputs):
    observer = Observer(net, inputs)
    faults = FaultSpace(net, bits="30").sample(1, seed=3)
    for size in (1, 2, 7):
        batch = torch.randn(size, 4)
        golden = observer.golden(batch)
        with Injector(net, faults):
            found = observer.compare(golden, batch)
        assert {len(seen.changed) for seen in found.sites.values()} == {size}


def test_every_pass_of_a_batch_is_compared_with_its_own(inputs):
    model = nn.Linear(4, 4)
    observer = Observer(model, inputs, lambda x: model(model(x)))
    golden = observer.golden(inputs)
    with Injector(model, Fault("bias", 0, bit=20)):
        (found,) = observer.compare(golden, inputs).sites.values()
    first, second = found.changed.split(len(inputs))  # the samples of each pass
    assert (first == 0.25).all()
    assert (second > 0.9).all()


def test_samples_that_lie_elsewhere_are_found(inputs):
    model = nn.GRU(4, 3).eval()  # (time, samples, features)
    steps = torch.randn(6, 5, 4)
    found = faultsim.observe(model, Fault("bias_ih_l0", 0, bit=30), steps).sites
    assert {name: len(seen.changed) for name, seen in found.items()} == {
        "(root):0": 5, "(root):1": 5,
    }  # fmt: skip


def test_a_model_that_is_closed_to_hooks_is_refused(inputs):
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4)))
    with pytest.raises(FaultError):
        Observer(scripted, inputs)


ANY = Sizes(None, frozenset())


def compared(was, now):
    one, other = torch.as_tensor(was), torch.as_tensor(now)
    kind = str(one.dtype).removeprefix("torch.")
    site = Site("x", "activations", kind, tuple(one.shape[1:]))
    return [column.tolist() for column in deviation(site, one, other, ANY)]


def test_words_that_are_not_finite_are_left_out_of_the_deviation():
    relative, changed, lost = compared([[3.0, 4.0, 1.0]], [[3.0, 9.0, math.inf]])
    assert (relative, lost) == ([1.0], [pytest.approx(1 / 3)])
    assert changed == [pytest.approx(2 / 3)]


def test_what_the_golden_run_had_already_lost_is_no_loss():
    relative, changed, lost = compared([[1.0, -math.inf]], [[1.0, -math.inf]])
    assert (relative, changed, lost) == ([0.0], [0.0], [0.0])


def test_zero_has_no_relative_deviation_unless_it_stays():
    relative, changed, _ = compared([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
    assert relative[0] == 0.0
    assert math.isnan(relative[1])
    assert changed == [0.0, 0.5]


def test_signs_of_zero_are_changed_words():
    assert compared([[0.0, 1.0]], [[-0.0, 1.0]])[1] == [0.5]


def test_the_largest_numbers_do_not_overflow():
    was = torch.tensor([[1e300, 1e300]], dtype=torch.float64)
    now = torch.tensor([[2e300, 1e300]], dtype=torch.float64)
    assert compared(was, now)[0] == pytest.approx([math.sqrt(0.5)])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8, torch.int64])
def test_other_formats(dtype):
    was, now = torch.tensor([[3, 4]], dtype=dtype), torch.tensor([[3, 9]], dtype=dtype)
    assert compared(was, now)[:2] == [[1.0], [0.5]]


def test_another_shape_is_changed_throughout():
    site = Site("x", "activations", "float32", (3,))
    found = deviation(site, torch.ones(2, 3), torch.ones(2, 4), ANY)
    assert found.changed.tolist() == [1.0, 1.0]
    assert found.relative.isnan().all()


def test_nothing_joined_is_nothing():
    assert summary_of(joined([])).n == 0


def test_sites_of_an_observer_are_those_of_activations(net, inputs):
    names = [site.name for site in activation_sites(net, inputs).sites]
    assert list(Observer(net, inputs).golden(inputs)) == [(1, name) for name in names]
