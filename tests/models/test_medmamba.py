"""The MedMamba family: published sizes, names and shapes."""

from __future__ import annotations

import pytest
import torch

from faultsim.errors import ConfigError
from faultsim.models import medmamba
from faultsim.models.medmamba import PatchMerging
from faultsim.models.ss2d import _fold, _unfold

PUBLISHED = {"t": 14_457_222, "s": 18_625_158, "b": 39_864_838}  # 6 classes, 3 channels


@pytest.mark.parametrize("variant", PUBLISHED)
def test_parameter_counts_are_the_published_ones(variant):
    with torch.device("meta"):
        model = medmamba(variant, num_classes=6)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[variant]


def test_names_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        state = medmamba("t", num_classes=6).state_dict()
    block = "layers.0.blocks.1."
    expected = {
        "patch_embed.proj.weight": (96, 3, 4, 4),
        "patch_embed.norm.weight": (96,),
        block + "ln_1.weight": (48,),
        block + "self_attention.x_proj_weight": (4, 35, 96),
        block + "self_attention.dt_projs_weight": (4, 96, 3),
        block + "self_attention.dt_projs_bias": (4, 96),
        block + "self_attention.A_logs": (384, 16),
        block + "self_attention.Ds": (384,),
        block + "self_attention.in_proj.weight": (192, 48),
        block + "self_attention.conv2d.weight": (96, 1, 3, 3),
        block + "self_attention.conv2d.bias": (96,),
        block + "self_attention.out_norm.bias": (96,),
        block + "self_attention.out_proj.weight": (48, 96),
        block + "conv33conv33conv11.0.running_var": (48,),
        block + "conv33conv33conv11.1.weight": (48, 48, 3, 3),
        block + "conv33conv33conv11.4.bias": (48,),
        block + "conv33conv33conv11.7.weight": (48, 48, 1, 1),
        "layers.2.downsample.reduction.weight": (768, 1536),
        "layers.2.downsample.norm.weight": (1536,),
        "head.weight": (6, 768),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert "layers.3.downsample.norm.weight" not in state
    assert "in_proj.bias" not in " ".join(state)


@pytest.mark.parametrize("side", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_nano_runs_at_every_size_of_medmnist(side, channels):
    model = medmamba("n", num_classes=5, in_channels=channels).eval()
    with torch.no_grad():
        assert model(torch.rand(2, channels, side, side)).shape == (2, 5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_train_and_run(dtype):
    model = medmamba("n", num_classes=2, in_channels=1, depths=(1, 2, 1, 1)).to(dtype).train()
    model(torch.rand(3, 1, 32, 32, dtype=dtype)).sum().backward()
    assert model.head.weight.grad.dtype == dtype
    assert all(block.drop_path < 1 for block in model.layers[1].blocks)


def test_nano_is_small():
    count = sum(p.numel() for p in medmamba("n", num_classes=10, in_channels=1).parameters())
    assert 250_000 < count < 350_000


def test_the_four_directions_fold_back():
    x = torch.randn(2, 3, 4, 5)
    sequences = _unfold(x)
    assert torch.equal(sequences[:, 0], x.flatten(2))
    assert torch.equal(sequences[:, 1], x.transpose(2, 3).flatten(2))
    assert torch.equal(sequences[:, 2], x.flatten(2).flip(-1))
    assert torch.equal(_fold(sequences, 4, 5), 4 * x.permute(0, 2, 3, 1))


def test_patch_merging_takes_the_corners_in_the_published_order():
    merge = PatchMerging(1)
    merge.norm, merge.reduction = torch.nn.Identity(), torch.nn.Identity()
    x = torch.arange(4.0).view(1, 2, 2, 1)  # 0 1 / 2 3
    assert merge(x).flatten().tolist() == [0.0, 2.0, 1.0, 3.0]
    assert merge(torch.rand(1, 7, 5, 1)).shape == (1, 3, 2, 4)
    assert merge(torch.ones(1, 1, 1, 1)).flatten().tolist() == [1.0, 0.0, 0.0, 0.0]


def test_unknown_variants_are_refused():
    with pytest.raises(ConfigError, match="unknown MedMamba variant"):
        medmamba("xl", num_classes=2)
