"""Every layer of a MedMamba has its component; other models fall back on their names."""

from __future__ import annotations

import pytest
import torch

from faultsim.models.medmamba import medmamba
from faultsim.report.components import COMPONENTS, component_of
from faultsim.space import FaultSpace

BLOCK = "layers.2.blocks.0"


@pytest.fixture(scope="module")
def medmamba_layers() -> dict[str, list[str]]:
    torch.manual_seed(0)
    model = medmamba("n", num_classes=3, in_channels=1).eval()
    inputs = torch.rand(1, 1, 32, 32)
    targets = ("weights", "activations", "states")
    spaces = {target: FaultSpace(model, (target,), inputs=inputs) for target in targets}
    return {target: [site.layer for site in space.sites] for target, space in spaces.items()}


@pytest.mark.parametrize("target", ["weights", "activations", "states"])
def test_every_layer_of_medmamba_has_a_component(target, medmamba_layers):
    found = {layer: component_of(layer) for layer in medmamba_layers[target]}
    assert set(found.values()) <= set(COMPONENTS)
    expected = {
        "weights": set(COMPONENTS) - {"block output"},
        "activations": set(COMPONENTS),
        "states": {"selective scan"},
    }
    assert set(found.values()) == expected[target]


@pytest.mark.parametrize(
    ("layer", "component"),
    [
        ("patch_embed.proj", "patch embedding"),
        (f"{BLOCK}.ln_1", "SSM norms"),
        (f"{BLOCK}.self_attention", "selective scan"),
        (f"{BLOCK}.self_attention.selective_scan:rows-reversed", "selective scan"),
        (f"{BLOCK}.self_attention.in_proj", "SSM projections"),
        (f"{BLOCK}.self_attention.conv2d", "SSM convolution"),
        (f"{BLOCK}.self_attention.out_norm", "SSM norms"),
        (f"{BLOCK}.conv33conv33conv11.0", "convolution branch"),
        (BLOCK, "block output"),
        ("layers.2.downsample.reduction", "patch merging"),
        ("head", "head"),
        ("head@1", "head"),
    ],
)
def test_names_of_medmamba(layer, component):
    assert component_of(layer) == component


@pytest.mark.parametrize(
    ("layer", "component"),
    [
        ("layer2.0.downsample.0", "layer2"),  # of a ResNet, no patch merging
        ("encoder.layers.encoder_layer_0.self_attention.out_proj", "encoder"),
        ("layers.0", "layers"),
        ("(root)", "(root)"),
        ("conv1:0", "conv1"),
    ],
)
def test_other_models_fall_back_on_the_first_part(layer, component):
    assert component_of(layer) == component
