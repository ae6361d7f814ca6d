"""Published architectures: what other tools got wrong in them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSet, FaultSpace, inject, run_campaign
from faultsim.data import Dataset, Split
from faultsim.faults import Fault


def test_swin_of_timm_folds_windows_into_the_batch():
    """Whatever the size of the batch, one fault strikes every image of it."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    swin = timm.models.swin_transformer.SwinTransformer
    model = swin(
        img_size=32, patch_size=2, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(2, 2),
        num_classes=3,
    ).eval()  # fmt: skip
    space = FaultSpace(model, "activations", inputs=torch.rand(2, 3, 32, 32))
    assert space.whole == {}
    site = next(site for site in space.sites if site.name.endswith("0.attn.proj"))
    assert (site.axis, site.outer, site.inner) == (0, 1, 16)
    for batch in (1, 4, 5, 7):
        x = torch.rand(batch, 3, 32, 32)
        with torch.no_grad():
            golden = model(x)
            with inject(model, FaultSet.of([Fault(site, 300, 1 << 30)])):
                assert (model(x) != golden).any(dim=1).all()


def test_every_relu_of_resnet18_is_a_site():
    models = pytest.importorskip("torchvision.models", exc_type=ImportError)
    space = FaultSpace(models.resnet18().eval(), "activations", inputs=torch.rand(1, 3, 32, 32))
    assert sum("relu" in site.name for site in space.sites) == 17
    assert space.whole == {}


class Encoder(nn.Module):
    """An encoder layer, which torch fuses where none of its modules has hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x.view(-1, 8, 8)).mean(dim=1))


def test_golden_and_faulty_runs_of_a_transformer_go_the_same_way(tmp_path):
    """A fault that changes no bit is masked, not benign for the way that hooks make torch go."""
    torch.manual_seed(0)
    model = Encoder().eval()
    split = Split(torch.randn(64, 1, 8, 8), torch.arange(64) % 2)
    data = Dataset("d", 2, split, split, split)
    seen: list[torch.Tensor] = []
    hook = model.layer.linear1.register_forward_hook(lambda module, args, y: seen.append(y))
    space = FaultSpace(model, "activations", inputs=split.images[:2])
    if "layer.linear1" in space.skipped:
        pytest.skip("this torch fuses an encoder layer whether or not it has hooks")
    site = next(site for site in space.sites if site.name == "layer.linear1")
    with torch.no_grad():
        model(split.images)
    hook.remove()
    negative = (seen[-1] < 0).flatten(1)
    index = int(negative.sum(dim=0).argmax())  # ReLU clears it
    path = tmp_path / "faults.json"
    path.write_text(FaultSet.of([Fault(site, index, 1)]).to_json())
    config = CampaignConfig(
        mode="from-file", faults=str(path), threads=1, out=str(tmp_path / "run"), batch_size=64
    )
    result = run_campaign(config, model=model, data=data)
    assert result.cells[0].rates["masked"].value >= float(negative[:, index].float().mean())
