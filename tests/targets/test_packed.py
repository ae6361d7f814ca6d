"""Quantised modules: the words inside packed weights, struck one by one and put back."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.ao.nn.quantized as nnq
import torch.ao.quantization as quantization
from torch import nn
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

from faultsim import Fault, FaultSet, FaultSpace, inject
from faultsim.errors import FaultError, InjectionError
from faultsim.models import model_digest
from faultsim.targets.tensors import weights_of

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.ao's quantisation is deprecated

ENGINES = [e for e in torch.backends.quantized.supported_engines if e != "none"]
DYNAMIC = {
    nn.Embedding: quantization.float_qparams_weight_only_qconfig,
    **dict.fromkeys(
        (nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.RNNCell),
        quantization.default_dynamic_qconfig,
    ),
}


@pytest.fixture(params=ENGINES)
def engine(request):
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = request.param
    yield request.param
    torch.backends.quantized.engine = before


class Convolutions(nn.Module):
    """Every convolution that has a quantised kind, and a linear layer without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.two = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
        self.turned = nn.ConvTranspose2d(4, 3, 3, stride=2)
        self.one = nn.Conv1d(3, 2, 3, dilation=2)
        self.three = nn.Conv3d(1, 2, (1, 2, 1))
        self.fc = nn.Linear(2, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.turned(torch.relu(self.two(self.quant(x))))
        x = self.one(x.flatten(2))
        x = self.three(x.unsqueeze(1).unsqueeze(-1)).flatten(2)
        return self.dequant(self.fc(x.transpose(1, 2)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 8)
        self.lstm = nn.LSTM(8, 4, 2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 4, batch_first=True)
        self.cell, self.other = nn.LSTMCell(4, 4), nn.RNNCell(4, 4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.gru(self.lstm(self.emb(x))[0])[0][:, -1]
        return self.fc(self.other(self.cell(x)[0]))


def static() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model, images = Convolutions().eval(), torch.rand(3, 2, 7, 7)
    # onednn has no kernel for some of these shapes quantised per channel
    model.qconfig = quantization.get_default_qconfig("qnnpack")
    quantization.prepare(model, inplace=True)
    model(images)
    return quantization.convert(model), images


def dynamic() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    tokens = torch.randint(9, (3, 6))
    return quantization.quantize_dynamic(Recurrent().eval(), DYNAMIC), tokens


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.LayerNorm(6)
        self.pre, self.act = nn.PReLU(), nn.Hardswish()
        self.w = nn.Parameter(torch.randn(5, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.act(self.conv(x)))
        return nn.functional.linear(self.pre(x), self.w)


def graph() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    images = torch.rand(2, 1, 8, 8)
    mapping = quantization.get_default_qconfig_mapping("fbgemm")
    prepared = prepare_fx(Functional().eval(), mapping, (images,))
    prepared(images)
    return convert_fx(prepared), images


MAKERS = [static, dynamic, graph]


def copies(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: words.clone() for name, words in weights_of(model).words.items()}


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit by bit, so that NaN is NaN."""
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


@pytest.mark.parametrize("make", MAKERS)
def test_only_the_struck_word_changes_and_everything_comes_back(make, engine):
    model, inputs = make()
    golden, digest, before = model(inputs), model_digest(model), copies(model)
    space = FaultSpace(model)
    for number, site in enumerate(space.sites):
        index, bit = (7 * number) % site.numel, (5 * number) % site.format.bits
        with inject(model, FaultSet.of([Fault(site, index, 1 << bit)])):
            after = copies(model)
        for name, words in before.items():
            expected = words.clone().reshape(-1)
            if name == site.name:
                mask = torch.tensor(1, dtype=torch.int64) << bit
                word = expected.view(site.format.word)
                word[index] = (word[index].long() ^ mask).to(word.dtype)
            assert same(after[name], expected), (site, name)
        assert model_digest(model) == digest
    assert same(model(inputs), golden)
    closed = {"three._packed_params"} if engine == "qnnpack" and make is static else set()
    assert engine == "onednn" or space.skipped.keys() == closed


def test_sites_are_what_the_modules_hold(engine):
    model, _ = static()
    words = copies(model)
    for name in ("two", "turned", "one", "fc", *(["three"] if engine != "qnnpack" else [])):
        module = model.get_submodule(name)
        weight = module.weight()
        assert torch.equal(words[f"{name}.weight"].flatten(), weight.int_repr().flatten())
        assert words[f"{name}.weight:scale"].item() == weight.q_scale()
        assert words[f"{name}.scale"].item() == module.scale
        assert words[f"{name}.zero_point"].item() == module.zero_point
        assert (f"{name}.bias" in words) == (module.bias() is not None)
    assert words["quant.zero_point"].item() == model.quant.zero_point.item()


def test_a_struck_weight_computes_as_one_quantised_so():
    model, images = graph()
    site = next(s for s in FaultSpace(model).sites if s.name == "conv.weight")
    weight = model.conv.weight()
    changed = weight.int_repr()
    changed.view(-1)[4] ^= 64
    other = nnq.Conv2d(1, 4, 3)
    other.scale, other.zero_point = model.conv.scale, model.conv.zero_point
    scales, zeros = weight.q_per_channel_scales(), weight.q_per_channel_zero_points()
    struck = torch._make_per_channel_quantized_tensor(changed, scales, zeros, 0)
    other.set_weight_bias(struck, model.conv.bias())
    inputs = torch.quantize_per_tensor(images, 0.01, 3, torch.quint8)
    with inject(model, FaultSet.of([Fault(site, 4, 64)])):
        assert same(model.conv(inputs).int_repr(), other(inputs).int_repr())
    assert not same(model.conv(inputs).int_repr(), other(inputs).int_repr())


def test_the_parts_of_one_packed_weight_are_struck_together():
    model, _ = dynamic()
    sites = FaultSpace(model, include="fc").sites
    assert [s.name for s in sites] == [
        "fc.weight",
        "fc.weight:scale",
        "fc.weight:zero_point",
        "fc.bias",
    ]
    before = copies(model)
    with inject(model, FaultSet.of(Fault(site, 0, 1) for site in sites)):
        after = copies(model)
    assert {name for name in before if not same(before[name], after[name])} == {
        s.name for s in sites
    }


def test_nested_faults_come_off_one_by_one():
    model, _ = dynamic()
    site = FaultSpace(model, include="fc").sites[0]
    one, two = (FaultSet.of([Fault(site, index, 1)]) for index in (0, 1))
    before = copies(model)["fc.weight"]
    with inject(model, one):
        inner = copies(model)["fc.weight"]
        with inject(model, two):
            assert (copies(model)["fc.weight"] != before).sum() == 2
        assert torch.equal(copies(model)["fc.weight"], inner)
    assert torch.equal(copies(model)["fc.weight"], before)


def test_an_exception_puts_the_original_back():
    model, _ = dynamic()
    site = FaultSpace(model, include="fc").sites[0]
    packed = model.fc._packed_params._packed_params

    def interrupted():
        with inject(model, FaultSet.of([Fault(site, 0, 1)])):
            assert model.fc._packed_params._packed_params is not packed
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert model.fc._packed_params._packed_params is packed


def test_weights_that_are_replaced_meanwhile_stay():
    model, _ = dynamic()
    site = FaultSpace(model, include="fc").sites[0]
    weight, bias = model.fc._weight_bias()
    injector = inject(model, FaultSet.of([Fault(site, 0, 1)]))
    injector.arm()
    model.fc.set_weight_bias(weight, bias)
    mine = model.fc._packed_params._packed_params
    with pytest.raises(InjectionError, match=r"fc\.weight got new storage"):
        injector.disarm()
    assert model.fc._packed_params._packed_params is mine


def test_the_digest_sees_packed_weights():
    digests = set()
    for seed in range(2):
        for dtype in (torch.qint8, torch.float16):
            torch.manual_seed(seed)
            layers = nn.Sequential(nn.Linear(4, 3), nn.LSTM(3, 2))
            digests.add(model_digest(quantization.quantize_dynamic(layers, dtype=dtype)))
    assert len(digests) == 4
    model, _ = static()
    before = model_digest(model)
    model.two.zero_point += 1
    assert model_digest(model) != before


def test_float16_weights_are_skipped_with_the_reason():
    model = quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)), dtype=torch.float16)
    assert "saturation" in FaultSpace(model).skipped["0.weight"]
    with pytest.raises(FaultError, match=r"matches only what cannot be struck: 0\.weight"):
        FaultSpace(model, include="0.weight")


def test_embeddings_of_four_bits_are_bytes():
    model = nn.Sequential(nn.EmbeddingBag(6, 8))
    model[0].qconfig = quantization.float_qparams_weight_only_qconfig_4bit
    model = quantization.quantize_dynamic(model, {nn.EmbeddingBag: model[0].qconfig})
    before, digest = model[0].weight().dequantize(), model_digest(model)
    site = FaultSpace(model).sites[0]
    assert (site.dtype, site.numel) == ("uint8", 24)  # two numbers each
    with inject(model, FaultSet.of([Fault(site, 5, 0x10)])):
        changed = (model[0].weight().dequantize() != before).nonzero().tolist()
    assert changed == [[1, 3]]
    assert model_digest(model) == digest


def test_scripted_quantised_models_are_struck():
    model, _ = dynamic()
    scripted = torch.jit.script(nn.Sequential(model.fc))
    inputs = torch.rand(2, 4)
    golden = scripted(inputs)
    site = next(s for s in FaultSpace(scripted).sites if s.name == "0.weight")
    with inject(scripted, FaultSet.of([Fault(site, 0, 0x40)])):
        assert (scripted(inputs) != golden)[:, 0].all()
    assert same(scripted(inputs), golden)


def test_quantised_resnet_of_torchvision():
    models = pytest.importorskip("torchvision.models.quantization")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = models.resnet18(weights=None, quantize=True).eval()
    space = FaultSpace(model)
    weights = [site for site in space.sites if site.name.endswith("weight")]
    assert {site.dtype for site in weights} == {"int8"}
    assert (
        sum(site.numel for site in weights) == 11_678_912
    )  # the weights of resnet18's convolutions and of its last layer
    assert not space.skipped
