"""Gradients by words that torch keeps packed, straight through the model's integers."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, linear

from faultsim import CampaignConfig, FaultSet, Workload, run_campaign
from faultsim.campaign.directory import TRIALS
from faultsim.run.gradients import Gradients
from faultsim.workload import Batch
from faultsim.workload.tasks import Classification, Regression

ao = pytest.importorskip("torch.ao.quantization")
pytestmark = pytest.mark.filterwarnings("ignore")  # torch.ao's quantisation is deprecated


def found(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    work = Workload(model, [(x, y)], Regression())
    return Gradients(work, Batch(x, y, len(x))).of_weights(FaultSet.of(()))


def static(layer: nn.Module, x: torch.Tensor, scheme: str) -> nn.Module:
    model = nn.Sequential(ao.QuantStub(), layer, ao.DeQuantStub()).eval()
    model.qconfig = ao.get_default_qconfig(scheme)
    ao.prepare(model, inplace=True)
    model(x)
    return ao.convert(model)


LAYERS = [
    (nn.Linear(6, 5), (7, 6), linear),
    (
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        (3, 4, 7, 7),
        lambda x, w, b: conv2d(x, w, b, 2, 1, 1, 2),
    ),
]


@pytest.mark.parametrize("scheme", ["qnnpack", "fbgemm"])  # a scale of the tensor, of each channel
@pytest.mark.parametrize(("layer", "shape", "function"), LAYERS, ids=["linear", "conv"])
def test_a_static_layer_has_the_gradient_of_what_it_computes(layer, shape, function, scheme):
    torch.manual_seed(0)
    model = static(layer, torch.rand(shape) - 0.5, scheme)
    x = 2 * torch.rand(shape) - 1  # so that some outputs saturate
    given, weight, made = model[0](x), model[1].weight(), model[1](model[0](x))
    y = torch.randn(made.shape)
    real = weight.dequantize().requires_grad_()
    slope = 2 * (made.dequantize() - y) / y.numel()
    out = function(given.dequantize(), real, model[1].bias())
    low = -model[1].zero_point * model[1].scale
    inside = (out >= low) & (out <= low + 255 * model[1].scale)
    assert not inside.all()
    slope = torch.where(inside, slope, 0)
    wanted = torch.autograd.grad(out, real, slope)[0]
    channels = weight.qscheme() == torch.per_channel_affine
    scale = weight.q_per_channel_scales() if channels else torch.tensor(weight.q_scale())
    scale = scale.float().view(-1, *[1] * (weight.ndim - 1)) if channels else scale
    torch.testing.assert_close(found(model, x, y)["1.weight"], wanted * scale, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("layer", "shape", "function"), LAYERS, ids=["linear", "conv"])
def test_what_a_static_layer_is_given_has_the_gradient_of_what_it_computes(layer, shape, function):
    """Activations are words of one byte: their slopes are by their values, through the layer."""
    torch.manual_seed(0)
    model = static(layer, torch.rand(shape) - 0.5, "fbgemm")
    x = torch.rand(shape) - 0.5
    given, made = model[0](x), model[1](model[0](x))
    y = torch.randn(made.shape)
    gradients = Gradients(Workload(model, [(x, y)], Regression()), Batch(x, y, len(x)))
    words, slope = gradients.of_outputs(FaultSet.of(()))["0"]
    real = given.dequantize().requires_grad_()
    out = function(real, model[1].weight().dequantize(), model[1].bias())
    low = -model[1].zero_point * model[1].scale
    inside = (out >= low) & (out <= low + 255 * model[1].scale)
    wanted = torch.where(inside, 2 * (made.dequantize() - y) / y.numel(), 0)
    wanted = torch.autograd.grad(out, real, wanted)[0] * given.q_scale()
    assert torch.equal(words, given.int_repr())
    torch.testing.assert_close(slope, wanted, rtol=1e-3, atol=1e-6)


def test_a_search_finds_the_worst_flip_of_a_quantised_activation(tmp_path):
    """Against every flip of every word of the activation, tried alone."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.rand(24, 6) - 0.5
    model = static(layers, x, "fbgemm")
    data = x, model(x).argmax(1)
    work = Workload(model, data, Classification(3), search=data)
    usual = {"target": "activations", "include": ("1.0",), "flips": (1,), "trials": 1}
    losses = []
    for mode in ("worst-case", "exhaustive"):
        out = tmp_path / mode
        run_campaign(CampaignConfig(mode=mode, **usual, out=str(out)), work)
        lines = map(json.loads, (out / TRIALS).read_text().splitlines())
        reported = [line for line in lines if line["cell"].get("split") != "val"]
        losses.append([(line["acc"], -line["loss"]) for line in reported])
    assert len(losses[1]) == 8 * 8
    assert losses[0][0] == min(losses[1])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb, self.lstm = nn.Embedding(9, 8), nn.LSTM(8, 4, 2, batch_first=True)
        self.gru, self.fc = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.gru(self.lstm(self.emb(x))[0])[0][:, -1])


def test_dynamic_layers_have_the_gradient_of_real_ones():
    torch.manual_seed(0)
    layers = {nn.Embedding: ao.float_qparams_weight_only_qconfig}
    layers |= dict.fromkeys((nn.Linear, nn.LSTM, nn.GRU), ao.default_dynamic_qconfig)
    plain = Recurrent().eval()
    model = ao.quantize_dynamic(plain, layers)
    tokens, y = torch.randint(9, (6, 5)), torch.randn(6, 3)
    ((plain(tokens) - y) ** 2).mean().backward()
    grads = found(model, tokens, y)
    for name in ("emb.weight", "lstm.weight_hh_l1", "gru.weight_ih_l0", "fc.weight"):
        wanted = plain.get_parameter(name).grad.flatten()
        module, _, leaf = name.partition(".")
        place = {"weight_hh_l1": "_all_weight_values.1.weight_hh"}
        place["weight_ih_l0"] = "_all_weight_values.0.weight_ih"
        own = grads[f"{module}.{place.get(leaf, leaf)}"].flatten()
        assert torch.corrcoef(torch.stack([wanted, own]))[0, 1] > 0.9, name
