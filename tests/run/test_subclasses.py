"""What flips in quantised tensor subclasses are worth, against one flip at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map

from faultsim import CampaignConfig, FaultSet, Workload
from faultsim.campaign import run_campaign
from faultsim.run.gradients import Gradients
from faultsim.workload import Batch
from faultsim.workload.tasks import Classification


class Int4(torch.Tensor):
    """Two numbers of four bits a byte, the second of a pair in the low ones."""

    @staticmethod
    def __new__(cls, packed, scale):
        rows, columns = packed.shape
        return torch.Tensor._make_wrapper_subclass(cls, (rows, 2 * columns), dtype=scale.dtype)

    def __init__(self, packed, scale):
        self.packed, self.scale = packed, scale

    def __tensor_flatten__(self):
        return ["packed", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, context, size, stride):
        return cls(inner["packed"], inner["scale"])

    def dequantize(self):
        pairs = torch.stack([self.packed >> 4, self.packed & 15], -1)
        return (pairs.flatten(1).float() - 8) * self.scale

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].packed, args[0].scale)
        opened = tree_map(
            lambda t: t.dequantize() if isinstance(t, Int4) else t, (args, kwargs or {})
        )
        return func(*opened[0], **opened[1])


@pytest.fixture
def int4():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    packed = torch.randint(0, 256, (8, 3), dtype=torch.uint8)
    weight = Int4(packed, torch.rand(8, 1) / 10)
    model[0].weight = nn.Parameter(weight, requires_grad=False)
    return model


def gradients(model, x, y):
    work = Workload(model, [(x, y)], Classification(3))
    return Gradients(work, Batch(x, y, len(x))).of_weights(FaultSet.of(()))


def test_each_bit_of_a_packed_byte_is_worth_what_it_changes(int4):
    x, y = torch.randn(9, 6), torch.randint(3, (9,))
    weight = int4[0].weight
    real = weight.dequantize().requires_grad_()
    hidden = torch.relu(nn.functional.linear(x, real, int4[0].bias))
    loss = nn.functional.cross_entropy(int4[2](hidden), y)
    slope = torch.autograd.grad(loss, real)[0]
    found = gradients(int4, x, y)["0.weight:packed"]
    assert found.shape == (8, 3, 8)
    for row, column, bit in ((0, 0, 0), (3, 2, 3), (3, 2, 4), (7, 1, 7)):
        packed = weight.packed.clone()
        packed[row, column] ^= 1 << bit
        change = Int4(packed, weight.scale).dequantize() - real.detach()
        assert found[row, column, bit].item() == pytest.approx(
            float((slope * change).sum()), rel=1e-4
        )


def test_a_search_in_nibbles_flips_what_hurts(int4, tmp_path):
    x = torch.randn(40, 6)
    rows = x, int4(x).argmax(1)
    work = Workload(int4, [rows], Classification(3), search=[rows])
    config = CampaignConfig(flips=(1,), trials=5, include=("0.weight:packed",), out=str(tmp_path))
    cells = {c.cell["curve"]: c for c in run_campaign(config, work).cells}
    assert cells["worst-case"].lowest < cells["random"].lowest


@pytest.mark.parametrize("name", ["Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig"])
def test_torchao_has_the_gradient_of_the_real_model(name):
    torchao = pytest.importorskip("torchao.quantization")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3)).eval()
    x, y = torch.randn(20, 64), torch.randint(3, (20,))
    wanted = gradients(model, x, y)["0.weight"]
    torchao.quantize_(model, getattr(torchao, name)())
    weight = model[0].weight
    raised = gradients(model, x, y)["0.weight:qdata"][..., 0]
    slope = raised * (1 - 2 * (weight.qdata & 1)) / weight.scale
    assert torch.corrcoef(torch.stack([wanted.flatten(), slope.flatten()]))[0, 1] > 0.99
