"""ECC on the weights of models: what the decoder says is what the model computes with."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import faultsim
from faultsim.ecc import CODES, DETECTED, code_named
from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.protections import Detected
from faultsim.protections.memory import bytes_of, checks_in, packed_checks, words_in

FLOAT_BITS = 32


def workload(model: nn.Module, images: torch.Tensor) -> faultsim.Workload:
    return faultsim.Workload(model, (images, torch.zeros(len(images)).long()), _another)


def _another(golden, faulty, batch):
    return golden.argmax(1) != faulty.argmax(1)


class Layouts(nn.Module):
    """Weights of several layouts and formats, tied, and read outside their owner."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(5)
        self.short = nn.Parameter(torch.randn(7).half())
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)
        self.rnn = nn.LSTM(6, 4, batch_first=True)
        self.head = nn.Linear(4, 6, bias=False)
        self.head2 = nn.Linear(4, 6, bias=False)
        self.head2.weight = self.head.weight
        self.turned = nn.Parameter(torch.randn(6, 5).t())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(images)).mean((2, 3)) @ self.turned
        x = self.attend(x[:, None], x[:, None], x[:, None])[0] + self.short.float().sum()
        x = self.rnn(x.expand(-1, 2, -1))[0][:, 1]
        return self.head(x) + self.head2(x)


@pytest.fixture
def layouts() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return Layouts().eval(), torch.randn(4, 3, 6, 6)


@pytest.mark.parametrize("name", CODES)
def test_golden_outputs_are_bit_identical(layouts, name):
    model, images = layouts
    before = copy.deepcopy(model.state_dict())
    bare = workload(model, images)
    safe = faultsim.protect(bare, name)
    with torch.no_grad():
        assert torch.equal(bare.run(images), safe.run(images))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", CODES)
def test_check_bits_are_packed_without_a_gap(name):
    code = code_named(name)
    memory = torch.randint(0, 256, (1000,), dtype=torch.uint8)
    checks = code.encode(words_in(memory, code))
    packed = packed_checks(checks, code)
    assert len(packed) == -(-len(checks) * code.check_bits // 8)
    numbers = torch.randperm(len(checks))[:20]
    assert torch.equal(checks_in(packed, code, numbers), checks[numbers])


def test_every_weight_is_covered_whatever_its_layout_and_reader(layouts):
    """One flip in each tensor: the output is what it was, and it was not without the code."""
    model, images = layouts
    bare = workload(model, images)
    safe = faultsim.protect(bare, "secded")
    with torch.no_grad():
        golden = bare.run(images)
    space = faultsim.FaultSpace(model)
    for site in space.sites:
        top = {"float32": 30, "float16": 14}[site.dtype]
        faults = FaultSet.of(faultsim.Fault(site.name, site.numel - 1, bit=top), space)
        with torch.no_grad(), faultsim.inject(model, faults):
            struck = bare.run(images)
        with torch.no_grad(), faultsim.inject(safe.model, safe.around.moved(faults)):
            assert torch.equal(safe.run(images), golden), site.name
        assert not torch.equal(struck, golden), site.name


def decode_by_hand(code, tensor: torch.Tensor, flips: list[int]) -> tuple[torch.Tensor, bool]:
    """All words of a tensor through encoder and decoder, with some bits of its memory flipped."""
    struck = bytes_of(tensor).clone()
    checks = code.encode(words_in(struck, code))
    for bit in flips:
        struck[bit // 8] ^= 1 << bit % 8
    found = code.decode(words_in(struck, code), checks)
    data = found.data.reshape(-1)[: len(struck)]
    return data, bool((found.status == DETECTED).any())


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("seed", range(12))
def test_struck_weights_are_what_a_decoder_of_all_words_makes_of_them(name, seed):
    code = code_named(name)
    layer = nn.Linear(13, 11)
    bare = workload(nn.Sequential(layer), torch.randn(5, 13))
    safe = faultsim.protect(bare, name)
    generator = torch.Generator().manual_seed(seed)
    flips = torch.randperm(64, generator=generator)[: 1 + seed % 4].tolist()  # of one word or two
    data, lost = decode_by_hand(code, layer.weight, flips)
    faults = [faultsim.Fault("0.weight", bit // 32, bit=bit % 32) for bit in flips]
    moved = safe.around.moved(FaultSet.of(faults, faultsim.FaultSpace(bare.model)))
    with faultsim.inject(safe.model, moved):
        if lost and code.reports:
            with pytest.raises(Detected, match="cannot be corrected"):
                safe.run(torch.randn(5, 13))
        else:
            used = safe.model[0].weight
            assert torch.equal(bytes_of(used), data)


def test_check_bits_are_fault_targets_and_their_faults_change_nothing(model, images):
    bare = workload(model, images)
    safe = faultsim.protect(bare, "secded")
    space, protected = faultsim.FaultSpace(model), faultsim.FaultSpace(safe.model)
    words = sum(-(-site.numel // 2) for site in space.sites)
    assert len(protected) == len(space) + 8 * words
    only = faultsim.FaultSpace(safe.model, include="*.check")
    golden = bare.run(images)
    for trial in range(20):
        with torch.no_grad(), faultsim.inject(safe.model, only.sample(1, seed=0, trial=trial)):
            assert torch.equal(safe.run(images), golden)


def test_a_flip_in_data_and_one_in_its_check_bits_are_detected():
    bare = workload(nn.Sequential(nn.Linear(4, 3)), torch.randn(2, 4))
    safe = faultsim.protect(bare, "secded:*.weight")
    weight = "0.parametrizations.weight"
    faults = [
        faultsim.Fault(f"{weight}.original", 0, bit=3),
        faultsim.Fault(f"{weight}.0.check", 0, bit=0),
    ]
    with faultsim.inject(safe.model, faults), pytest.raises(Detected):
        safe.run(torch.randn(2, 4))


def test_parity_with_zeroing_loses_the_word_and_no_other():
    bare = workload(nn.Sequential(nn.Linear(4, 3)), torch.randn(2, 4))
    safe = faultsim.protect(bare, "parity-zero")
    clean = bare.model[0].weight.detach().clone()
    fault = faultsim.Fault("0.parametrizations.weight.original", (1, 2), bit=30)
    with faultsim.inject(safe.model, fault):
        used = safe.model[0].weight.detach()
    clean[1, 2] = 0
    assert torch.equal(used, clean)


def test_gradients_pass_through(model, images):
    bare = workload(model, images)
    safe = faultsim.protect(bare, "secded")
    for work in (bare, safe):
        work.run(images).square().sum().backward()
    original = safe.model.conv.parametrizations.weight.original
    assert torch.equal(model.conv.weight.grad, original.grad)


def test_a_model_without_a_weight_is_refused():
    bare = workload(nn.Sequential(nn.ReLU()), torch.randn(2, 4))
    with pytest.raises(ConfigError, match="secded finds no weight that it could protect"):
        faultsim.protect(bare, "secded")


def test_names_that_are_none():
    bare = workload(nn.Linear(4, 3), torch.randn(2, 4))
    with pytest.raises(ConfigError, match="did you mean 'secded'"):
        faultsim.protect(bare, "seceded")
    with pytest.raises(ConfigError, match="no protection was named"):
        faultsim.protect(bare)
