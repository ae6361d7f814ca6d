"""Factories of other libraries by import path: each is given what its signature asks for."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign import reproduce
from faultsim.errors import ConfigError
from faultsim.models import load_model


def strict(in_chans, num_classes):
    return kept(in_chans=in_chans, num_classes=num_classes)


def kept(**options):
    model = nn.Linear(1, 1)
    model.options = options
    return model


def picky(*, num_classes, **options):
    if unknown := set(options) - {"img_size"}:
        raise TypeError(f"picky() got an unexpected keyword argument {unknown.pop()!r}")
    return kept(num_classes=num_classes, **options)


def buggy(**options):
    return nn.Linear(3, 3, biass=True)


def other_error(num_classes):
    return nn.Linear(num_classes, 3, in_channels=3)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_factories", sys.modules[__name__])


def load(name: str, **options) -> nn.Module:
    return load_model(name, **{"num_classes": 7, "in_channels": 2, "image_size": 32} | options)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("strict", {"in_chans": 2, "num_classes": 7}),
        ("kept", {"in_channels": 2, "num_classes": 7, "image_size": 32}),
        ("picky", {"num_classes": 7, "img_size": 32}),
    ],
)
def test_options_under_the_names_a_factory_has_for_them(name, given):
    assert load(f"my_factories:{name}").options == given


@pytest.mark.parametrize("name", ["buggy", "other_error"])
def test_errors_inside_a_factory_are_its_own(name):
    with pytest.raises(ConfigError, match=f"my_factories:{name} failed: TypeError: .*unexpected"):
        load(f"my_factories:{name}")


def test_an_image_that_is_not_square_has_no_size():
    assert load("my_factories:kept", image_size=None).options.keys() == {
        "in_channels",
        "num_classes",
    }


@pytest.mark.parametrize(
    ("library", "spec", "side"),
    [
        ("torchvision.models", "torchvision.models:resnet18", 32),
        ("torchvision.models", "torchvision.models:mobilenet_v3_small", 32),
        ("torchvision.models", "torchvision.models:shufflenet_v2_x0_5", 32),
        ("torchvision.models", "torchvision.models:vit_b_16", 32),
        ("torchvision.models", "torchvision.models.quantization:mobilenet_v2", 32),
        ("timm.models", "timm.models:resnet18", 32),
        ("timm.models", "timm.models.convnext:convnext_atto", 32),
        ("timm.models", "timm.models:vit_tiny_patch16_224", 32),
        ("timm.models", "timm.models.swin_transformer:SwinTransformer", 56),
        ("transformers", "my_vit:make", 32),
    ],
)
def test_factories_of_known_libraries(library, spec, side, monkeypatch):
    pytest.importorskip(library, exc_type=ImportError)
    monkeypatch.setitem(sys.modules, "my_vit", my_vit())
    model = load(spec, in_channels=3, image_size=side)
    if "timm" in spec:
        model = load(spec, in_channels=1, image_size=side)
    with torch.no_grad():
        output = model(torch.rand(2, 1 if "timm" in spec else 3, side, side))
    assert getattr(output, "logits", output).shape == (2, 7)


def my_vit() -> types.ModuleType:
    """What a user writes for a library that builds models from configurations."""
    found = types.ModuleType("my_vit")

    def make(num_classes, image_size):
        from transformers import ViTConfig, ViTForImageClassification

        return ViTForImageClassification(
            ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, patch_size=8,
                      intermediate_size=8, image_size=image_size, num_labels=num_classes)
        )  # fmt: skip

    found.make = make
    return found


def random_net(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))


def test_a_factory_that_draws_its_weights_makes_the_same_model_each_time(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    config = CampaignConfig(
        model="my_factories:random_net", mode="random", trials=2, flips=(1,), limit=9,
        out=str(tmp_path / "run"),
    )  # fmt: skip
    directory = run_campaign(config).directory
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert reproduce(directory, 1, trust_code=True).differences == []
