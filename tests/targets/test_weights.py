"""Weights of other people's models: struck as they are stored, restored, or skipped by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import Fault, FaultSet, FaultSpace, inject
from faultsim.errors import ConfigError, FaultError
from faultsim.models import model_digest
from faultsim.models.loading import evaluating
from faultsim.targets.tensors import weights_of

INPUTS = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()


class Spectral(nn.Module):
    """Multiplies by complex numbers, as Fourier layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 2, dtype=torch.complex64))
        self.register_buffer("z", torch.ones(2, dtype=torch.complex128))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.to(self.w.dtype) @ self.w * self.z).abs()


class Scaled(torch.Tensor):
    """A quantised weight as a tensor subclass: integers and their scale."""

    @staticmethod
    def __new__(cls, data, scale):
        return torch.Tensor._make_wrapper_subclass(cls, data.shape, dtype=scale.dtype)

    def __init__(self, data, scale):
        self.data_, self.scale = data, scale

    def __tensor_flatten__(self):
        return ["data_", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].data_, args[0].scale)
        opened = [a.data_ * a.scale if isinstance(a, cls) else a for a in args]
        return func(*opened, **(kwargs or {}))


class Held(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        data = torch.arange(-3, 3, dtype=torch.int8).view(3, 2)
        self.w = nn.Parameter(Scaled(data, torch.tensor([0.5, 2.0])), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.w + 0)


def scripted() -> nn.Module:
    return torch.jit.script(plain())


def traced() -> nn.Module:
    return torch.jit.trace(plain(), INPUTS)


def compiled() -> nn.Module:
    return torch.compile(plain(), backend="eager")


def exported() -> nn.Module:
    return torch.export.export(plain(), (INPUTS,)).module()


def parallel() -> nn.Module:
    return nn.DataParallel(plain())


@pytest.mark.parametrize(
    "make", [plain, Spectral, Held, scripted, traced, compiled, exported, parallel]
)
def test_every_weight_is_struck_where_the_model_reads_it(make):
    model = evaluating(make())
    golden, digest = model(INPUTS), model_digest(model)
    before = {name: words.clone() for name, words in weights_of(model).words.items()}
    space = FaultSpace(model, bits=6)
    assert len(space.sites) >= 2
    for site in space.sites:
        index = site.numel - 1
        with inject(model, FaultSet.of([Fault(site, index, 1 << 6)])):
            after = {name: words.clone() for name, words in weights_of(model).words.items()}
            model(INPUTS)
            assert model_digest(model) != digest
        for name, words in after.items():
            word = site.format.word if name == site.name else words.view(torch.uint8).dtype
            changed = (words.view(word) != before[name].view(word)).flatten().nonzero()
            assert changed.flatten().tolist() == ([index] if name == site.name else [])
        assert model_digest(model) == digest
    assert torch.equal(model(INPUTS), golden)


@pytest.mark.parametrize("make", [plain, Spectral, Held, scripted, traced, compiled, exported])
def test_a_struck_weight_shows_in_the_output(make):
    model = evaluating(make())
    golden = model(INPUTS)
    site = next(s for s in FaultSpace(model).sites if "bias" not in s.name)
    with inject(model, FaultSet.of([Fault(site, 0, 1 << site.format.bits - 2)])):
        assert not torch.equal(model(INPUTS), golden)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda m: torch.compile(m, backend="eager")])
def test_faults_of_the_bare_model_fit_the_wrapped_one_and_the_other_way_round(wrap):
    bare = plain()
    wrapped = wrap(nn.DataParallel(bare))
    for source in (bare, wrapped):
        site = next(s for s in FaultSpace(source).sites if s.name.endswith("2.bias"))
        faults = FaultSet.of([Fault(site, 1, 1 << 30)])
        for target in (bare, wrapped, nn.DataParallel(bare)):
            before = bare[2].bias.clone()
            with inject(target, faults):
                assert (bare[2].bias != before).nonzero().flatten().tolist() == [1]
            assert torch.equal(bare[2].bias, before)


def test_a_child_called_module_is_no_wrapper_where_names_fit():
    model = nn.Module()
    model.module = nn.Linear(2, 2)
    model.register_buffer("bias", torch.zeros(2))
    site = next(s for s in FaultSpace(model).sites if s.name == "bias")
    with inject(model, FaultSet.of([Fault(site, 0, 1 << 30)])):
        assert model.bias[0] == 2.0


class Odd(nn.Module):
    """One of everything that no fault can strike."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.sparse = nn.Parameter(torch.eye(3).to_sparse(), requires_grad=False)
        self.wide = nn.Parameter(torch.zeros(1).expand(4), requires_grad=False)
        self.none = nn.Parameter(torch.zeros(0))
        self.meta = nn.Parameter(torch.zeros(2, device="meta"))
        self.lazy = nn.LazyLinear(2)
        self.register_buffer("mask", torch.ones(2, dtype=torch.bool))
        self.register_buffer("order", torch.arange(3))
        self.table = torch.ones(3)


REASONS = {
    "sparse": "layout is sparse_coo",
    "wide": "share one word",
    "none": "empty",
    "meta": "meta device",
    "lazy.weight": "not initialised",
    "lazy.bias": "not initialised",
    "mask": "bool has one bit",
    "order": "an integer buffer (int64): integers=True or --integers",
    "table": "neither parameter nor buffer",
}


def test_what_cannot_be_struck_is_named_with_the_reason():
    space = FaultSpace(Odd())
    assert {site.name for site in space.sites} == {"fc.weight", "fc.bias"}
    assert space.skipped.keys() == REASONS.keys()
    assert all(reason in space.skipped[name] for name, reason in REASONS.items())


@pytest.mark.parametrize("name", REASONS)
def test_a_pattern_of_what_cannot_be_struck_is_answered_with_the_reason(name):
    with pytest.raises(FaultError, match="matches only what cannot be struck") as caught:
        FaultSpace(Odd(), include=name)
    assert REASONS[name] in str(caught.value)


def test_patterns_choose_what_is_named_too():
    assert FaultSpace(Odd(), include="fc").skipped == {}
    assert "sparse" not in FaultSpace(Odd(), exclude="sparse").skipped
    assert "order" not in FaultSpace(Odd(), integers=True).skipped


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.ReLU(), "the model has no weights"),
        (nn.LazyLinear(2), "weight: it is not initialised: run a batch"),
    ],
)
def test_an_empty_space_says_why(model, words):
    with pytest.raises(FaultError, match="empty") as caught:
        FaultSpace(model)
    assert words in str(caught.value)


def test_frozen_models_are_refused():
    frozen = torch.jit.freeze(torch.jit.script(plain()))
    with pytest.raises(FaultError, match="frozen, its weights are constants"):
        FaultSpace(frozen)


@pytest.mark.parametrize(("name", "words"), [("lazy", "not initialised"), ("meta", "meta device")])
def test_no_digest_is_made_of_what_has_no_values(name, words):
    model = nn.Module()
    setattr(model, name, getattr(Odd(), name))
    with pytest.raises(ConfigError, match=words):
        model_digest(model)


def test_the_digest_sees_inner_and_sparse_tensors():
    for change in (
        lambda m: m.w.data_.add_(1),
        lambda m: m.w.scale.mul_(2),
        lambda m: m.s.values().add_(1),
        lambda m: m.q.set_(m.q2),
    ):
        model = Held()
        model.s = nn.Parameter(torch.eye(3).to_sparse_csr(), requires_grad=False)
        model.register_buffer("q", torch.quantize_per_tensor(INPUTS, 0.1, 3, torch.quint8))
        model.q2 = torch.quantize_per_tensor(INPUTS, 0.2, 3, torch.quint8)
        before = model_digest(model)
        if change.__code__.co_names[-1] == "q2":
            model.q = model.q2
        else:
            change(model)
        assert model_digest(model) != before


def test_a_sharded_model_is_struck_in_its_local_tensors(tmp_path):
    distributed = pytest.importorskip("torch.distributed")
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not distributed.is_available() or not hasattr(fsdp, "fully_shard"):
        pytest.skip("newer torch, with torch.distributed")
    from torch.distributed.device_mesh import init_device_mesh

    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    try:
        model = plain()
        golden = model(INPUTS)
        fsdp.fully_shard(model[0], mesh=init_device_mesh("cpu", (1,)), reshard_after_forward=True)
        sites = FaultSpace(model).sites
        assert {"0.weight:_local_tensor", "2.weight"} <= {site.name for site in sites}
        faults = FaultSet.of([Fault(sites[0], 0, 1 << 30)])
        with inject(model, faults):
            assert not torch.equal(model(INPUTS), golden)
        assert torch.equal(model(INPUTS), golden)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("config", ["Int8WeightOnlyConfig", "Float8WeightOnlyConfig"])
def test_torchao_weights_are_struck_in_their_inner_tensors(config):
    quantization = pytest.importorskip("torchao.quantization")
    model = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 8)).eval()
    quantization.quantize_(model, getattr(quantization, config)())
    images = torch.rand(2, 64)
    golden, digest = model(images), model_digest(model)
    sites = FaultSpace(model).sites
    assert {"0.weight:qdata", "0.weight:scale", "1.bias"} <= {site.name for site in sites}
    with inject(model, FaultSet.of([Fault(sites[0], 5, 0x40)])):
        changed = (model(images) != golden).any(dim=0)
        assert model_digest(model) != digest
    assert changed.any()
    assert torch.equal(model(images), golden)
