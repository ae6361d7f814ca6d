"""Checkpoints as others write them: wrappers, prefixes, folders."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from faultsim.errors import ConfigError
from faultsim.models import model_digest
from faultsim.models.checkpoint import load_checkpoint


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


STATE = network(1).state_dict()
OTHER = network(2).state_dict()


def named(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in STATE.items()}


class Lit(nn.Module):
    """As a LightningModule keeps its network."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(1)


def averaged() -> dict[str, torch.Tensor]:
    return torch.optim.swa_utils.AveragedModel(network(1)).state_dict()


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (STATE, None),
        ({"model_state_dict": STATE, "optimizer_state_dict": {"state": {}}, "epoch": 3}, None),
        ({"state_dict": {"model": STATE}}, None),
        ({"model": STATE, "args": "none"}, None),
        (nn.DataParallel(network(1)).state_dict(), "after 'module.'"),
        (torch.compile(network(1)).state_dict(), "after '_orig_mod.'"),
        ({"state_dict": named("module._orig_mod.")}, "after 'module._orig_mod.'"),
        ({"state_dict": named("model."), "hyper_parameters": {"lr": 0.1}}, "after 'model.'"),
        ({"state_dict": Lit().state_dict()}, "after 'net.'"),
        (averaged(), "after 'module.'"),
        ({"state_dict": STATE, "state_dict_ema": OTHER}, "not the average in state_dict_ema"),
        ({"model": STATE, "model_ema": OTHER}, "not the average in model_ema"),
        ({"model_ema": STATE}, "those of model_ema"),
    ],
)  # fmt: skip
def test_wrappers_and_prefixes_are_understood_and_said(tmp_path, saved, said):
    path = tmp_path / "w.pt"
    torch.save(saved, path)
    model = network()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_checkpoint(model, path)
    assert model_digest(model) == model_digest(network(1))
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == (said is not None)
    assert all(said in message for message in messages)


@pytest.mark.filterwarnings("ignore:.*the model's names are its own")
def test_a_bare_checkpoint_fits_a_wrapped_model(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    model = nn.DataParallel(network())
    load_checkpoint(model, tmp_path / "w.safetensors")
    assert model_digest(model.module) == model_digest(network(1))


def test_prefixes_do_not_hide_what_does_not_fit(tmp_path):
    torch.save({**named("net."), "net.4.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with (
        pytest.warns(UserWarning, match=r"after 'net\.'"),
        pytest.raises(ConfigError, match=r"has 4\.weight, which the model lacks"),
    ):
        load_checkpoint(network(), tmp_path / "w.pt")


def test_a_mapping_that_holds_itself_is_no_checkpoint(tmp_path):
    endless: dict = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="no mapping of names to tensors"):
        load_checkpoint(network(), tmp_path / "w.pt")


@pytest.mark.parametrize("form", ["whole", "parts", "pickled"])
def test_folders_as_transformers_saves_them(tmp_path, form):
    if form == "whole":
        save_file(STATE, tmp_path / "model.safetensors")
    elif form == "pickled":
        torch.save(STATE, tmp_path / "pytorch_model.bin")
    else:
        files = {name: f"part-{name[0]}.safetensors" for name in STATE}
        for file in set(files.values()):
            part = {name: STATE[name] for name in STATE if files[name] == file}
            save_file(part, tmp_path / file)
        index = {"metadata": {"total_size": 1}, "weight_map": files}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    model = network()
    load_checkpoint(model, tmp_path)
    assert model_digest(model) == model_digest(network(1))


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"neither model.safetensors nor pytorch_model.bin"):
        load_checkpoint(network(), tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../b"}}')
    with pytest.raises(ConfigError, match=f"no checkpoint at {tmp_path / 'b'}"):
        load_checkpoint(network(), tmp_path)


def vit(labels: int = 3) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 8, "image_size": 8, "patch_size": 4}  # fmt: skip
    return ViTForImageClassification(ViTConfig(**sizes, num_labels=labels)).eval()


@pytest.mark.parametrize("largest", ["1GB", "3KB"])
def test_a_model_of_transformers_and_the_folder_it_saved(tmp_path, largest):
    pytest.importorskip("transformers")
    made, found = vit(), vit()
    made.save_pretrained(tmp_path, max_shard_size=largest)
    load_checkpoint(found, tmp_path)
    assert model_digest(found) == model_digest(made)
    with pytest.raises(ConfigError, match=r"cannot be read|classifier.*(missing|mismatched)"):
        load_checkpoint(vit(labels=4), tmp_path)
    made.vit.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"classifier\.bias is missing"):
        load_checkpoint(vit(), tmp_path)
