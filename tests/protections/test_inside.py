"""Weights that lie inside tensor subclasses, and those that torch.ao packs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map

import faultsim
from faultsim.errors import ConfigError
from faultsim.protections import Detected


class Int8(torch.Tensor):
    """Words of one byte and a scale for each row, as torchao keeps them."""

    @staticmethod
    def __new__(cls, words, scale):
        return torch.Tensor._make_wrapper_subclass(cls, words.shape, dtype=scale.dtype)

    def __init__(self, words, scale):
        self.words, self.scale = words, scale

    def __tensor_flatten__(self):
        return ["words", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, context, size, stride):
        return cls(inner["words"], inner["scale"])

    def dequantize(self):
        return self.words.float() * self.scale

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.detach.default, torch.ops.aten.clone.default):
            return cls(func(args[0].words), func(args[0].scale))
        open_ = lambda t: t.dequantize() if isinstance(t, cls) else t  # noqa: E731
        args, kwargs = tree_map(open_, (args, kwargs or {}))
        return func(*args, **kwargs)


@pytest.fixture
def work() -> faultsim.Workload:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    weight = Int8(torch.randint(-90, 90, (8, 6), dtype=torch.int8), torch.rand(8, 1) / 50)
    model[0].weight = nn.Parameter(weight, requires_grad=False)
    data = torch.randn(5, 6), torch.arange(5) % 3
    return faultsim.Workload(model, data, faultsim.tasks.Classification(3))


def run(work: faultsim.Workload, faults: faultsim.FaultSet | None = None) -> torch.Tensor:
    given = work.read("test")[0].inputs
    with torch.no_grad():
        if faults is None:
            return work.run(given)
        moved = work.around.moved(faults) if work.around else faults
        with faultsim.inject(work.model, moved):
            return work.run(given)


def flips(work: faultsim.Workload, part: str, count: int) -> list[faultsim.FaultSet]:
    space = faultsim.FaultSpace(work.model, include=f"0.weight:{part}")
    return [space.sample(count, seed=seed) for seed in range(8)]


@pytest.mark.parametrize("part", ["words", "scale"])
def test_a_code_corrects_every_flip_inside(work, part):
    safe = faultsim.protect(work, "secded")
    assert torch.equal(run(safe), run(work))
    for faults in flips(work, part, 1):
        assert not torch.equal(run(work, faults), run(work))
        assert torch.equal(run(safe, faults), run(work))


def test_two_flips_of_a_word_are_detected_and_lost_groups_are_zero(work):
    site = next(s for s in faultsim.FaultSpace(work.model).sites if s.name == "0.weight:words")
    two = faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=bit) for bit in (1, 6)])
    with pytest.raises(Detected):
        run(faultsim.protect(work, "secded"), two)
    top = faultsim.FaultSet.of([faultsim.Fault(site, 3, bit=7)])
    lost = faultsim.protect(work, "radar")
    with torch.no_grad(), faultsim.inject(lost.model, lost.around.moved(top)):
        assert bool((lost.model[0].weight.words == 0).all())  # 48 weights are one group
    least = faultsim.protect(work, "weight-range:0.weight")
    scale = next(s for s in faultsim.FaultSpace(work.model).sites if s.name == "0.weight:scale")
    with pytest.raises(Detected):
        run(least, faultsim.FaultSet.of([faultsim.Fault(scale, 2, bit=30)]))


def test_check_bits_inside_are_struck_too(work):
    safe = faultsim.protect(work, "secded")
    names = {site.name for site in faultsim.FaultSpace(safe.model).sites}
    assert {
        f"0.parametrizations.weight.0.parts.{part}.check" for part in ("words", "scale")
    } <= names


def test_layers_without_plain_weights_have_no_checksums(work):
    assert torch.equal(run(faultsim.protect(work, "abft")), run(work))  # of the other layer
    with pytest.raises(ConfigError, match="abft knows no checksum of 0: only"):
        faultsim.protect(work, "abft:0")
    with pytest.raises(ConfigError, match="finds no int8 weight"):
        faultsim.protect(work, "in-place")


@pytest.mark.filterwarnings("ignore")  # torch.ao's quantisation is deprecated
def test_packed_weights_are_refused_by_name(work):
    ao = pytest.importorskip("torch.ao.quantization")
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3)).eval()
    model[0] = ao.quantize_dynamic(nn.Sequential(model[0]), {nn.Linear})[0]
    mixed = faultsim.Workload(model, work.read("test"), work.task)
    with pytest.raises(ConfigError, match=r"can stand before 0\.weight: torch\.ao keeps it"):
        faultsim.protect(mixed, "secded")
    assert torch.equal(run(faultsim.protect(mixed, "secded:1.*")), run(mixed))
